// Certificate: a self-signed one for servers on loopback, good for a hundred years, and its key,
// which protects nothing. For localhost, 127.0.0.1, portwarden.test and the names below it.
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=portwarden.test
//     -addext subjectAltName=DNS:localhost,DNS:portwarden.test,DNS:*.portwarden.test,IP:127.0.0.1

export const CERTIFICATE: string = `-----BEGIN CERTIFICATE-----
MIIBzDCCAXOgAwIBAgIUd5wIKJkMiNiXgspyWDKmk+szgDIwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPcG9ydHdhcmRlbi50ZXN0MCAXDTI2MTEyMjA1NTUwNVoYDzIx
MjYxMDI5MDU1NTA1WjAaMRgwFgYDVQQDDA9wb3J0d2FyZGVuLnRlc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAATa/HPoVKsAw2VkgHaNtJVyIg/GW+xlG+eLjCX7
Tzl7piXsKIdP8MrJt+r2v8buRdZTPHdw5pZcLXxvNHujhIkIo4GUMIGRMB0GA1Ud
DgQWBBTvO7tsQ+1UgODdJyK3gbRB1pdVDTAfBgNVHSMEGDAWgBTvO7tsQ+1UgODd
JyK3gbRB1pdVDTAPBgNVHRMBAf8EBTADAQH/MD4GA1UdEQQ3MDWCCWxvY2FsaG9z
dIIPcG9ydHdhcmRlbi50ZXN0ghEqLnBvcnR3YXJkZW4udGVzdIcEfwAAATAKBggq
hkjOPQQDAgNHADBEAiAUYmcCCcugR6fqt+Tz7AXq7+q1//r+d/oeCjL+ztE7ugIg
ekB85PrnwDaoHf1l/BmDSUhaq665AXvG1sYxz26+HUY=
-----END CERTIFICATE-----
`;

export const PRIVATE_KEY: string = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNsJ4xotSBkUaWMId
y8vr5YyNrbOrmtvJhmaQDAp7w42hRANCAATa/HPoVKsAw2VkgHaNtJVyIg/GW+xl
G+eLjCX7Tzl7piXsKIdP8MrJt+r2v8buRdZTPHdw5pZcLXxvNHujhIkI
-----END PRIVATE KEY-----
`;
