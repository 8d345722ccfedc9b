//! Where id and secret come from, and how they are replaced while requests go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use airbyte_proxy::clock::Clock;
use airbyte_proxy::demo::{Options, Simulator};
use airbyte_proxy::secret::Secret;
use http::{Method, StatusCode};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::harness::daemon::{got, try_got};
use crate::harness::process::{
    Process, SOON, Start, airbyte, airbyte_proxy, client, in_front_of, private_file, shim, until,
};
use crate::harness::trace;

fn alone(airbyte: &Simulator) -> Start {
    airbyte_proxy("--listen 127.0.0.1:0").upstream(airbyte)
}

async fn works(what: &str, airbyte: &Simulator, start: Start) {
    let before = airbyte.handle().counts();
    let proxy = start.start().await;
    let answer = proxy.get("/v1/workspaces").await;
    assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.text());
    let counts = airbyte.handle().counts();
    assert_eq!(counts.mints, before.mints + 1, "{what}");
    assert_eq!((counts.refused, counts.unauthorized()), (0, 0), "{what}");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_of_id_and_secret_yields_a_token() {
    let airbyte = airbyte(Options::default());
    let (id, secret) = (airbyte.client_id(), airbyte.client_secret());
    let secret = secret.expose();
    // As editors leave it.
    let line = format!("{secret}\n");

    works("environment", &airbyte, in_front_of(&airbyte)).await;

    let start = alone(&airbyte);
    let (id_file, secret_file) = (start.folder().join("id"), start.folder().join("secret"));
    let start = start.env("AIRBYTE_CLIENT_ID_FILE", private_file(id_file, &id));
    works("files", &airbyte, start.env("AIRBYTE_CLIENT_SECRET_FILE", private_file(secret_file, &line))).await;

    let start = alone(&airbyte);
    private_file(start.folder().join("secret"), &line);
    let config = format!("[credentials]\nclient_id = \"{id}\"\nclient_secret_file = \"secret\"\n");
    let config = private_file(start.folder().join("x.toml"), &config);
    works("configuration file", &airbyte, start.arg("--config").arg(config)).await;

    let start = alone(&airbyte);
    private_file(start.folder().join("secret"), &line);
    let config =
        format!("[credentials]\nclient_id = \"{id}\"\nclient_secret_command = [\"cat\", \"secret\"]\n");
    let config = private_file(start.folder().join("x.toml"), &config);
    works("command", &airbyte, start.arg("--config").arg(config)).await;

    let start = alone(&airbyte).arg("--client-id").arg(&id).arg("--client-secret-stdin").stdin(&line);
    works("standard input", &airbyte, start).await;

    let start = alone(&airbyte);
    private_file(start.folder().join("client-id"), &id);
    private_file(start.folder().join("client-secret"), secret);
    let folder = start.folder().to_owned();
    works("systemd", &airbyte, start.env("CREDENTIALS_DIRECTORY", folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_any_characters_reaches_the_token_endpoint() {
    for body in ["json", "form"] {
        let secret = Secret::new("p@ss+w/ö%rd=&\"\\ of 24".to_owned());
        let credentials = airbyte_proxy::secret::ClientCredentials {
            client_id: "id&=%2B \"\\".into(),
            client_secret: secret,
        };
        let airbyte = airbyte(Options { credentials: Some(credentials), ..Options::default() });
        works(body, &airbyte, in_front_of(&airbyte).env("AIRBYTE_PROXY_TOKEN_BODY", body)).await;
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_needs_no_token() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return println!("skipped: there is no curl here");
    }
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    for http in ["--http1.1", "--http2"] {
        let url = proxy.url("/v1/workspaces");
        let curl = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}", http, &url])
            .output();
        let output = curl.await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("{\"data\":[") && said.ends_with("\n200"), "{http}: {said}{output:?}");
    }
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_command_that_fails_at_first_is_tried_again_while_the_listener_is_up() {
    let airbyte = airbyte(Options::default());
    let start = alone(&airbyte);
    let config = format!(
        "[credentials]\nclient_id = \"{}\"\nclient_secret_command = [\"cat\", \"unlocked\"]\n",
        airbyte.client_id()
    );
    let config = private_file(start.folder().join("x.toml"), &config);
    let proxy = start.arg("--config").arg(config).start().await;
    let answer = proxy.get("/v1/workspaces").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert!(answer.text().contains("the client id and secret could not be read"), "{}", answer.text());
    assert_eq!(proxy.get("/-/live").await.status, StatusCode::OK);
    assert_eq!(proxy.get("/-/ready").await.json()["status"], "broken");
    assert_eq!(airbyte.handle().counts().token_requests, 0);
    private_file(proxy.folder().join("unlocked"), airbyte.client_secret().expose());
    until(&airbyte, |counts| counts.mints == 1).await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    proxy.stop().await;
}

/// Asks without a pause until it is told to stop.
struct Asking {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Asking {
    fn start(proxy: &Process) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (url, told, count) = (proxy.url("/v1/workspaces"), Arc::clone(&stop), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let client = client();
            while !told.load(Ordering::Relaxed) {
                let answer = try_got(client.request(Method::GET, &url)).await.expect("an answer");
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { stop, asked, task }
    }

    async fn ended(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every request was answered");
        assert!(self.asked.load(Ordering::Relaxed) > 10);
    }
}

/// Replaces a file as careful programs do.
fn replace(folder: &Path, content: &str) {
    let new = private_file(folder.join("secret.new"), content);
    std::fs::rename(new, folder.join("secret")).expect("renamed");
}

/// Replaces the content of a mounted volume as Kubernetes does: a link in a parent folder changes, and no file does.
fn swap(folder: &Path, number: u32, content: &str) {
    let data = folder.join(format!("..{number}"));
    std::fs::create_dir(&data).expect("a folder");
    private_file(data.join("secret"), content);
    std::os::unix::fs::symlink(&data, folder.join("..data.new")).expect("a link");
    std::fs::rename(folder.join("..data.new"), folder.join("..data")).expect("renamed");
    if number == 1 {
        std::os::unix::fs::symlink("..data/secret", folder.join("secret")).expect("a link");
    }
}

fn from_file(airbyte: &Simulator, start: Start) -> Start {
    let file = start.folder().join("secret");
    start
        .upstream(airbyte)
        .env("AIRBYTE_CLIENT_ID", airbyte.client_id())
        .env("AIRBYTE_CLIENT_SECRET_FILE", file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_in_its_file_is_soon_in_use_and_no_request_fails() {
    for mounted in [false, true] {
        let airbyte = airbyte(Options::default());
        let start = airbyte_proxy("--listen 127.0.0.1:0");
        let old = airbyte.client_secret();
        if mounted {
            swap(start.folder(), 1, old.expose());
        } else {
            replace(start.folder(), old.expose());
        }
        let proxy = from_file(&airbyte, start).start().await;
        assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
        let asking = Asking::start(&proxy);
        let new = format!("a-new-secret-that-is-mounted-{mounted}");
        trace::secret(&new);
        airbyte.handle().rotate_secret(Secret::new(new.clone()));
        let (clock, before) = (Clock::system(), airbyte.handle().counts());
        let written = clock.now();
        if mounted {
            swap(proxy.folder(), 2, &new);
        } else {
            replace(proxy.folder(), &new);
        }
        until(&airbyte, |counts| counts.mints > before.mints).await;
        let took = clock.now().since(written);
        println!("mounted {mounted}: in use after {took:?}");
        // Files are looked at every 2 s, and no token is asked for within 5 s of the last, which was just now.
        assert!(took < Duration::from_secs(7), "{took:?}");
        asking.ended().await;
        let counts = airbyte.handle().counts();
        assert_eq!(counts.unauthorized(), 0, "{counts:?}");
        proxy.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_new_secret_never_hurts() {
    let airbyte = airbyte(Options { token_lifetime: Duration::from_secs(6), ..Options::default() });
    let start = airbyte_proxy("--listen 127.0.0.1:0");
    replace(start.folder(), airbyte.client_secret().expose());
    let proxy = from_file(&airbyte, start).start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let asking = Asking::start(&proxy);
    trace::secret("a-new-secret-that-is-wrong");
    replace(proxy.folder(), "a-new-secret-that-is-wrong");
    let refused = until(&airbyte, |counts| counts.refused == 1).await;
    // The old secret goes on to buy new tokens.
    let renewed = until(&airbyte, |counts| counts.mints > refused.mints).await;
    // The right one at last.
    let right = "a-new-secret-that-is-right";
    trace::secret(right);
    airbyte.handle().rotate_secret(Secret::new(right.to_owned()));
    replace(proxy.folder(), right);
    until(&airbyte, |counts| counts.mints > renewed.mints).await;
    asking.ended().await;
    let counts = airbyte.handle().counts();
    assert_eq!(counts.unauthorized(), 0, "{counts:?}");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_empty_or_gone_for_a_moment_changes_nothing() {
    for gone in [false, true] {
        let airbyte = airbyte(Options { token_lifetime: Duration::from_secs(6), ..Options::default() });
        let start = airbyte_proxy("--listen 127.0.0.1:0");
        replace(start.folder(), airbyte.client_secret().expose());
        let proxy = from_file(&airbyte, start).start().await;
        let asking = Asking::start(&proxy);
        let before = until(&airbyte, |counts| counts.mints == 1).await;
        if gone {
            std::fs::remove_file(proxy.folder().join("secret")).expect("removed");
        } else {
            replace(proxy.folder(), "");
        }
        let warning = proxy.logged("the client id and secret cannot be read").await;
        assert!(warning.contains("\"in_use\":true"), "{warning}");
        until(&airbyte, |counts| counts.mints > before.mints).await;
        asking.ended().await;
        assert_eq!(airbyte.handle().counts().refused, 0);
        proxy.stop().await;
    }
}

/// As on a network's disk whose server has gone: whoever looks at the file waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_hangs_when_looked_at_holds_up_nobody() {
    const HANGS: &str = "#define _GNU_SOURCE\n#include <string.h>\n#include <unistd.h>\n#include <dlfcn.h>\n\
        int statx(int d, const char *p, int f, unsigned m, void *b) {\n\
            if (p && strstr(p, \"/secret\") && access(\"gone\", F_OK) == 0) {\n\
                (void)!write(2, \"hanging\\n\", 8); sleep(60); }\n\
            int (*real)(int, const char *, int, unsigned, void *) = dlsym(RTLD_NEXT, \"statx\");\n\
            return real(d, p, f, m, b); }\n";
    let airbyte = airbyte(Options { token_lifetime: Duration::from_secs(6), ..Options::default() });
    let start = airbyte_proxy("--listen 127.0.0.1:0");
    let library = shim(start.folder(), HANGS).await;
    replace(start.folder(), airbyte.client_secret().expose());
    let proxy = from_file(&airbyte, start).env("LD_PRELOAD", library).start().await;
    let before = until(&airbyte, |counts| counts.mints == 1).await;
    std::fs::write(proxy.folder().join("gone"), "").expect("written");
    proxy.logged("hanging").await;
    // New connections are accepted, and tokens renewed.
    let answered = async {
        for _ in 0..20 {
            assert_eq!(got(client().get(proxy.url("/-/live"))).await.status, StatusCode::OK);
        }
    };
    tokio::time::timeout(SOON, answered).await.expect("accepted");
    until(&airbyte, |counts| counts.mints > before.mints).await;
    proxy.signal(Signal::TERM);
    let ended = proxy.ended_within(Duration::from_secs(5)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
