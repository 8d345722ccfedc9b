//! The lifecycle against a simulated world.
//!
//! * `world`: a token endpoint that misbehaves on demand, and a driver that does what the keeper does.
//! * `model`: what should happen, worked out a second time without calling `policy`; every step is checked against it.
//! * `properties`: random histories; the checks of the model are the properties.
//! * the rest: named facts, most of them a few lines on top of the same world, so that the model watches them too.

mod credentials;
mod doubt;
mod events;
mod model;
mod outages;
mod pacing;
mod properties;
mod world;
