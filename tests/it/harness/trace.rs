//! Keeps all that a test run logs, and lists the secrets that must not be in it.
//!
//! Off unless `AIRBYTE_PROXY_TEST_LOG` names a folder, as `.ci/run` does; then `tests/scan_log.py FOLDER` searches what
//! is in it, after the run. For a harness that runs the proxy, or parts of it, in this process:
//!
//! * [`install()`] before anything can log: from then on every event and span of every library goes to a file, at TRACE.
//! * [`secret()`] for each secret and token that the test knows, before or after it is used. Twice does no harm.
//! * [`Tokens`] beside a simulated Airbyte: lists its client secret now, and the tokens it gave out when dropped.
//! * [`silent()`] for a test that moves so much that its own libraries would fill the disk.
//!
//! Processes started with `harness::process` do all of this by themselves.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use airbyte_proxy::demo;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Shorter ones would be found everywhere, by chance.
const SHORTEST: usize = 12;

/// Logged and listed, so that a scan which does not find it is known to be blind.
const CANARY: &str = "canary-0f83d1c2b7a94e65";

/// The folder, if the log is kept.
fn folder() -> Option<&'static Path> {
    static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "a switch of the test run, not a setting of the program"
        )]
        let folder = std::env::var_os("AIRBYTE_PROXY_TEST_LOG").filter(|folder| !folder.is_empty());
        let folder = PathBuf::from(folder?);
        std::fs::create_dir_all(&folder).expect("a folder for the log");
        Some(folder)
    });
    FOLDER.as_deref()
}

/// Whether the log is kept.
pub(crate) fn is_on() -> bool {
    folder().is_some()
}

/// A new file in the folder, if the log is kept.
pub(crate) fn file(name: &str) -> Option<File> {
    Some(File::create(folder()?.join(name)).expect("a file for the log"))
}

/// Keeps what is logged in this process from now on. Only the first call does anything.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(file) = file("in-process.log") else { return };
        let layer = Everything(Mutex::new(file));
        tracing::subscriber::set_global_default(Registry::default().with(layer)).expect("the first");
        secret(CANARY);
        tracing::trace!(target: "canary", planted = CANARY);
    });
}

struct List {
    file: File,
    known: HashSet<String>,
}

/// Lists `value` among what must not be found.
pub(crate) fn secret(value: &str) {
    static LIST: LazyLock<Option<Mutex<List>>> =
        LazyLock::new(|| Some(Mutex::new(List { file: file("secrets.jsonl")?, known: HashSet::new() })));
    assert!(value.len() >= SHORTEST, "too short to be looked for: use one of {SHORTEST} characters or more");
    let Some(list) = &*LIST else { return };
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if list.known.insert(value.to_owned()) {
        writeln!(list.file, "{}", serde_json::Value::from(value)).expect("written");
    }
}

/// Lists the secrets of a simulated Airbyte: the client's at once, the tokens when dropped.
#[derive(Debug)]
pub(crate) struct Tokens(demo::Handle);

impl Tokens {
    pub(crate) fn of(handle: demo::Handle) -> Self {
        secret(handle.credentials().client_secret.expose());
        Self(handle)
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        // It may have been replaced meanwhile.
        secret(self.0.credentials().client_secret.expose());
        self.0.tokens().iter().for_each(|token| secret(token.expose()));
    }
}

/// Runs `future` on a runtime of this one thread, of which nothing is kept.
pub(crate) fn silent<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tracing::subscriber::with_default(NoSubscriber::new(), || runtime.block_on(future))
}

/// Writes every event and span to a file, whoever they are from.
struct Everything(Mutex<File>);

impl Everything {
    fn write(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields)) {
        let mut line = Fields(format!("{} {} {}", metadata.level(), metadata.target(), metadata.name()));
        record(&mut line);
        line.0.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.0.as_bytes()).expect("written");
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Everything {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.write(span.metadata(), |fields| span.record(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let metadata = context.metadata(id).expect("a span that is open");
        self.write(metadata, |fields| values.record(fields));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.write(event.metadata(), |fields| event.record(fields));
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("into a string");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Not quoted: an escape in the middle would hide it from the scan.
        write!(self.0, " {}={value}", field.name()).expect("into a string");
    }
}
