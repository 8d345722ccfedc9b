//! Pods, made of network namespaces: the application and the proxy share one, Airbyte has another, a cable lies between.
//!
//! * `network`: the namespaces themselves, and what runs inside them
//! * `sidecar`: one application and its proxy, from their start to the end of the pod
//! * `jobs`: a pod that ends by itself, with the scripts of the manifests
//! * `outage`: the cable is pulled
//! * `rolling`: replicas that are restarted one after the other under load
//!
//! Namespaces need root. Without it these tests are left out, and say so.

#![cfg(target_os = "linux")]

mod jobs;
mod network;
mod outage;
mod rolling;
mod sidecar;
