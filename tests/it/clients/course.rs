//! The course's lesson, with the SDK of its time.

use airbyte_proxy::demo::Options;
use tokio::process::Command;

use super::{python, script, succeeds};
use crate::harness::process::{airbyte, airbyte_proxy, in_front_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_courses_lesson_runs_with_one_changed_line() {
    let Some(python) = python() else { return };
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    for base in ["/v1", "/v1/", "/api/public/v1"] {
        succeeds(Command::new(&python).arg(script("course.py")).arg(proxy.url(base))).await;
    }
    let counts = airbyte.handle().counts();
    assert_eq!((counts.mints, counts.unauthorized()), (1, 0), "its own tokens never leave: {counts:?}");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_courses_lesson_runs_on_the_demo() {
    let Some(python) = python() else { return };
    let demo = airbyte_proxy("demo --listen 127.0.0.1:0 --token-lifetime 5s").start().await;
    succeeds(Command::new(&python).arg(script("course.py")).arg(demo.url("/v1"))).await;
    demo.stop().await;
}
