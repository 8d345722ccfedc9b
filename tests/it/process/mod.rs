//! The real binary, as people and service managers run it.
//!
//! * `first_contact`: what somebody meets who starts it for the first time
//! * `credentials`: where id and secret come from, and how they are replaced
//! * `drain`: signals, and what they do to requests in flight
//! * `hangup`: SIGHUP on a terminal, in a service, under nohup
//! * `streams`: closed, full and unread standard streams
//! * `large`: bodies of 1 GiB in little memory
//! * `sdk`: the official Python SDK through the proxy

#![cfg(target_os = "linux")]

mod credentials;
mod drain;
mod first_contact;
mod hangup;
mod large;
mod sdk;
mod streams;
