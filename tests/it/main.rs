//! Integration tests, one binary. Table of contents to come.

fn main() {}
