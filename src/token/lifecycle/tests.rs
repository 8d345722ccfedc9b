//! The invariants of the lifecycle, against a model.
