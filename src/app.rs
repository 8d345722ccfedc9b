//! Composition root: configuration → bound app → run until told → drained.
