//! Sizes, times and numbers.
