#!/usr/bin/env python3
"""Real sockets for the fuzzer: reads sequences of calls, one JSON object a line, and answers each line.

Every sequence runs in a process and a network namespace of its own, so that none leaves anything to the
next. `helper.py check` says whether that is possible here: nothing, or why it is not.
"""
import ctypes
import errno
import fcntl
import json
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
IP_LOCAL_PORT_RANGE = 51
IP_BIND_ADDRESS_NO_PORT = 24
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
IFF_UP, IFF_RUNNING = 1, 64
LOOPBACK = 1
TENTATIVE = 0x40
TCP_STATE = {
    1: "established", 4: "fin-wait-1", 5: "fin-wait-2", 7: "closed", 8: "close-wait",
    9: "last-ack", 10: "listening",
}
TYPES = {
    "tcp4": (socket.AF_INET, socket.SOCK_STREAM), "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp4": (socket.AF_INET, socket.SOCK_DGRAM), "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
}
OPTIONS = {
    "reuseaddr": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    "reuseport": (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    "v6only": (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
    "bind_no_port": (socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
}
SECONDS_MAX = 30
ACKNOWLEDGED_SECONDS_MAX = 0.5
CONNECT_MICROSECONDS_MAX = 1_500_000  # a SYN is sent again after a second


def enter_namespace(env):
    """A namespace with loopback, the addresses, and a device v0 that leads nowhere."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.pack("16sH14s", b"lo", IFF_UP | IFF_RUNNING, b"")
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, flags)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        for address in env["v6"]:
            packed = socket.inet_pton(socket.AF_INET6, address)
            fcntl.ioctl(any_socket, SIOCSIFADDR, packed + struct.pack("Ii", 128, LOOPBACK))
    await_addresses()
    if env["v4"]:
        lines = ["link add v0 type veth peer name v1"]
        lines += ["addr add %s/24 dev v0" % address for address in env["v4"]]
        lines += ["link set v0 up", "link set v1 up"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
    for name, text in env["sysctl"].items():
        write_sysctl(name, text)


def await_addresses():
    """Until no address of IPv6 is tentative any more."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        with open("/proc/self/net/if_inet6") as file:
            if not any(int(line.split()[4], 16) & TENTATIVE for line in file):
                return
        time.sleep(0.001)


def write_sysctl(name, text):
    with open("/proc/sys/net/ipv4/" + name, "w") as file:
        file.write(text)


def connections():
    """The state of each, and the inode of its socket; "0": it has none."""
    for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with open(path) as file:
            next(file)
            for line in file:
                columns = line.split()
                yield columns[3], columns[9]


def time_waits():
    """Connections without a socket: TIME_WAIT, and FIN_WAIT2 of a socket that is closed."""
    return sum(state in ("05", "06") and inode == "0" for state, inode in connections())


def await_acknowledgements():
    """A FIN may be acknowledged late: until no connection is in FIN_WAIT1, LAST_ACK, or CLOSING."""
    deadline = time.monotonic() + ACKNOWLEDGED_SECONDS_MAX
    while any(state in ("04", "09", "0B") for state, _ in connections()):
        if time.monotonic() > deadline:
            return
        time.sleep(0.002)


class Namespace:
    def __init__(self, env):
        self.sockets = {}
        self.uids = {}
        self.is_owners_call = env["exec_as_owner"]
        enter_namespace(env)

    def answer(self, call):
        try:
            told = getattr(self, "do_" + call[0])(*call[1:])
            answer = "ok" if told is None else told
        except OSError as error:
            answer = name_of(error.errno)
        who = self.sockets.get(call[1]) if len(call) > 1 and call[0] != "sleep" else None
        return answer if who is None else answer + " " + described(who)

    def do_socket(self, name, kind, uid):
        os.seteuid(uid)
        try:
            self.sockets[name] = socket.socket(*TYPES[kind])
        finally:
            os.seteuid(0)
        self.limit(name)
        self.uids[name] = uid

    def limit(self, name):
        """Blocking calls answer EINPROGRESS after so long."""
        packed = struct.pack("ll", *divmod(CONNECT_MICROSECONDS_MAX, 1_000_000))
        self.sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, packed)

    def do_opt(self, name, option, value):
        who = self.sockets[name]
        if option == "bindtodevice":
            who.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, value.encode() + b"\0")
        elif option == "port_range":
            packed = struct.pack("I", value[0] | value[1] << 16)
            who.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, packed)
        else:
            who.setsockopt(*OPTIONS[option], value)

    def do_bind(self, name, address, port):
        os.seteuid(self.uids[name] if self.is_owners_call else 0)
        try:
            self.sockets[name].bind((address, port))
        finally:
            os.seteuid(0)

    def do_listen(self, name):
        self.sockets[name].listen(64)

    def do_connect(self, name, address, port):
        self.sockets[name].connect((address, port))

    def do_accept(self, name, accepted, others):
        """Of listeners that the kernel may choose from by chance, whichever has been chosen."""
        ready, _, _ = select.select([self.sockets[who] for who in [name] + others], [], [], 0)
        if not ready:
            return "EAGAIN"
        by = next(who for who in [name] + others if self.sockets[who] is ready[0])
        self.sockets[accepted], _ = self.sockets[by].accept()
        self.limit(accepted)
        self.uids[accepted] = self.uids[by]
        return "ok" if by == name else "by another"

    def do_disconnect(self, name):
        unspecified = struct.pack("H14s", 0, b"")
        if LIBC.connect(self.sockets[name].fileno(), unspecified, len(unspecified)) != 0:
            raise OSError(ctypes.get_errno(), "connect")

    def do_shutdown(self, name):
        self.sockets[name].shutdown(socket.SHUT_WR)
        await_acknowledgements()

    def do_close(self, name, is_reset):
        who = self.sockets.pop(name)
        if is_reset:
            who.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        who.close()
        await_acknowledgements()

    def do_sysctl(self, name, text):
        write_sysctl(name, text)

    def do_sleep(self, ms):
        time.sleep(ms / 1000)

    def do_waits(self):
        return "%d" % time_waits()


def name_of(number):
    """EOPNOTSUPP and ENOTSUP are one number."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def described(who):
    """What getsockname() tells, and the state of TCP."""
    address, port = who.getsockname()[:2]
    if who.type != socket.SOCK_STREAM:
        return "%s|%d" % (address, port)
    state = who.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]
    return "%s|%d %s" % (address, port, TCP_STATE.get(state, state))


def run(env, calls):
    namespace = Namespace(env)
    began = time.monotonic()
    answers = [namespace.answer(call) for call in calls]
    return {"answers": answers, "ms": (time.monotonic() - began) * 1000}


def run_apart(line):
    """The answer of a process of its own, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS_MAX)
        try:
            answer = run(**json.loads(line))
        except BaseException as error:  # whatever it is, the fuzzer is told
            answer = {"error": repr(error)}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text or json.dumps({"error": "no answer in %d s" % SECONDS_MAX})


def check():
    release = platform.release()
    if os.geteuid() != 0:
        return "network namespaces and sockets of other users need root"
    if tuple(int(part) for part in release.split("-")[0].split(".")[:2]) < (6, 18):
        return "the kernel is %s, and the rules are those of 6.18" % release
    env = {"v4": ["10.0.0.1"], "v6": [], "sysctl": {}, "exec_as_owner": False}
    answer = json.loads(run_apart(json.dumps({"env": env, "calls": []})))
    return answer.get("error", "")


def main():
    if sys.argv[1:] == ["check"]:
        print(json.dumps({"kernel": platform.release(), "why": check()}))
        return
    for line in sys.stdin:
        print(run_apart(line), flush=True)


main()
