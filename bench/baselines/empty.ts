// A module of nothing: what Node takes to load any.

export {};
