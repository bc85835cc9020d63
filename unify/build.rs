//! Empty: cargo takes build dependencies, and so their features, into account only for a package with a build script.

fn main() {}
