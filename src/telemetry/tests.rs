//! What is written, what is not, and what happens when nobody reads.

use std::io::Write;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::Value;
use tracing::{debug, error, info, trace, warn};

use super::sink::REST;
use super::*;

/// Output that can be looked at.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("text")
    }
}

const LONG: Duration = Duration::from_secs(20);

/// All lines of what `say` logs.
fn logged(style: Style, level: LevelFilter, say: impl FnOnce()) -> String {
    let output = Output::default();
    let sink = Sink::start(output.clone(), REST, move |number| line::dropped(style, number));
    let (clock, _hand) = Clock::manual();
    let log = Log { style, clock, sink: Arc::clone(&sink), level: Arc::new(ArcSwap::from_pointee(level)) };
    tracing::subscriber::with_default(Registry::default().with(log), say);
    sink.flush(LONG);
    output.text()
}

const PLAIN: Style = Style::Human { colour: false };

#[test]
fn a_line_for_people_has_time_level_place_message_and_fields() {
    let text = logged(PLAIN, LevelFilter::INFO, || {
        info!(target: "airbyte_proxy::token", generation = 7, why = "it is time", "token renewed");
    });
    assert_eq!(text, "22:13:20  INFO token: token renewed generation=7 why=\"it is time\"\n");
}

#[test]
fn colour_comes_only_when_asked_for() {
    let text = logged(Style::Human { colour: true }, LevelFilter::INFO, || error!("x"));
    assert!(text.contains("\x1b[31mERROR\x1b[0m"), "{text:?}");
    assert!(!logged(PLAIN, LevelFilter::INFO, || error!("x")).contains('\x1b'));
}

#[test]
fn a_json_line_is_one_flat_object() {
    let text = logged(Style::Json, LevelFilter::INFO, || {
        let cause: Box<dyn std::error::Error> = Box::new(io::Error::other("the cause"));
        warn!(
            target: "airbyte_proxy::mint",
            error = &*cause,
            n = 3,
            ratio = 0.5,
            odd = f64::NAN,
            ok = true,
            level = "theirs",
            none = None::<u64>,
            "mint failed"
        );
    });
    let line: Value = serde_json::from_str(&text).expect("JSON");
    let expected = serde_json::json!({
        "ts": "2023-11-14T22:13:20.000Z", "level": "WARN", "target": "airbyte_proxy::mint", "message": "mint failed",
        "error": "the cause", "n": 3, "ratio": 0.5, "odd": null, "ok": true, "_level": "theirs",
    });
    assert_eq!(line, expected);
}

#[test]
fn nothing_a_value_contains_ends_a_line_or_moves_a_cursor() {
    let nasty = "a\r\nb\x1b[31m\u{9b}2J\u{7f}\"\\\u{202e}\u{2028}\0";
    for style in [PLAIN, Style::Json] {
        let text = logged(style, LevelFilter::INFO, || info!(nasty, debug = ?nasty, "said {nasty}"));
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let line = text.trim_end_matches('\n');
        assert!(!line.chars().any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{text:?}");
        if style == Style::Json {
            let line: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(line["nasty"], nasty);
            assert_eq!(line["message"], format!("said {nasty}"));
        }
    }
}

fn all_levels() {
    for_each_target();
    trace!("ours at trace");
}

fn for_each_target() {
    info!("ours at info");
    debug!("ours at debug");
    info!(target: "airbyte_proxyish", "impostor at info");
    warn!(target: "hyper::proto", "theirs at warn");
    info!(target: "hyper::proto", "theirs at info");
    trace!(target: "h2::codec", "theirs at trace");
    let span =
        tracing::trace_span!(target: "h2::codec", "frame", token = "in a span", late = tracing::field::Empty);
    span.record("late", "recorded later");
}

#[test]
fn libraries_may_only_warn_unless_everything_is_shown() {
    let text = logged(PLAIN, LevelFilter::DEBUG, all_levels);
    assert!(
        text.contains("ours at info") && text.contains("ours at debug") && text.contains("theirs at warn")
    );
    assert!(
        !text.contains("at trace") && !text.contains("theirs at info") && !text.contains("impostor"),
        "{text}"
    );
    assert!(!text.contains("span"), "{text}");

    let text = logged(PLAIN, LevelFilter::TRACE, all_levels);
    for all in ["ours at trace", "theirs at info", "theirs at trace", "in a span", "recorded later"] {
        assert!(text.contains(all), "{all}: {text}");
    }
    assert_eq!(logged(PLAIN, LevelFilter::OFF, all_levels), "");
}

#[test]
fn a_request_is_one_event() {
    let access = Access {
        request_id: "7f3e",
        trace_id: None,
        method: "GET",
        route: "/v1/workspaces/*",
        status: 200,
        duration: Duration::from_micros(12_340),
        upstream: Some(Duration::from_micros(11_940)),
        bytes_in: 0,
        bytes_out: 517,
        rows: None,
        generation: Some(3),
        replayed: false,
        client: None,
        error: None,
        rule: None,
    };
    let text = logged(Style::Json, LevelFilter::INFO, || {
        assert!(Access::enabled());
        access.emit();
    });
    let line: Value = serde_json::from_str(&text).expect("JSON");
    let expected = serde_json::json!({
        "ts": "2023-11-14T22:13:20.000Z", "level": "INFO", "target": "access", "method": "GET",
        "route": "/v1/workspaces/*", "status": 200, "duration_ms": 12.3, "upstream_ms": 11.9, "bytes_in": 0,
        "bytes_out": 517, "generation": 3, "request_id": "7f3e",
    });
    assert_eq!(line, expected);
    logged(Style::Json, LevelFilter::WARN, || assert!(!Access::enabled()));
}

proptest! {
    /// What is written without asking each field is what asking would have written.
    #[test]
    fn the_line_of_a_request_is_the_same_by_either_way(
        texts in prop::collection::vec(prop_oneof![".{0,12}", "[ -~]{0,12}"], 7),
        present in prop::collection::vec(any::<bool>(), 8),
        (duration, upstream) in (0_u64..100_000_000, 0_u64..100_000_000),
        numbers in prop::collection::vec(prop_oneof![Just(0), 0_u64..5000, any::<u64>()], 4),
        status in 100_u16..600,
    ) {
        let micros = |n| Duration::from_micros(n);
        let access = Access {
            request_id: &texts[0],
            trace_id: present[0].then_some(texts[1].as_str()),
            method: &texts[2],
            route: &texts[3],
            status,
            duration: micros(duration),
            upstream: present[1].then_some(micros(upstream)),
            bytes_in: numbers[0],
            bytes_out: numbers[1],
            rows: present[2].then_some(numbers[2]),
            generation: present[3].then_some(numbers[3]),
            replayed: present[4],
            client: present[5].then_some(texts[4].as_str()),
            error: present[6].then_some(texts[5].as_str()),
            rule: present[7].then_some(texts[6].as_str()),
        };
        let wall = Clock::manual().0.wall();
        let mut direct = String::new();
        line::access(&access, wall, |line| line.clone_into(&mut direct));
        prop_assert_eq!(direct, logged(Style::Json, LevelFilter::INFO, || access.emit()));
    }
}

/// Output that takes nothing until it is told to.
struct Stuck {
    release: mpsc::Receiver<()>,
    reached: mpsc::Sender<()>,
    output: Output,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        let _ = self.release.recv();
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_stops_blocks_nobody_and_what_is_lost_is_counted() {
    let output = Output::default();
    let (go, release) = mpsc::channel();
    let (reached, stuck) = mpsc::channel();
    let sink =
        Sink::start(Stuck { release, reached, output: output.clone() }, REST, |n| format!("{n} lost\n"));
    sink.push("first\n");
    stuck.recv().expect("the thread has it");
    for _ in 0..20_000 {
        sink.push("line\n");
    }
    sink.flush(Duration::from_millis(1));
    assert_eq!(output.text(), "", "and the flush gave up");
    drop(go);
    sink.flush(LONG);
    let text = output.text();
    assert_eq!(text.matches("line\n").count(), 16_384);
    assert!(text.ends_with("3616 lost\n"));
    sink.push("again\n");
    sink.flush(LONG);
    assert!(output.text().ends_with("again\n"), "room has returned");
}

/// Output that tells of each write.
struct Told(mpsc::Sender<String>);

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_first_line_is_written_at_once_and_what_comes_during_the_rest_together() {
    let (told, writes) = mpsc::channel();
    let sink = Sink::start(Told(told), Duration::from_secs(3600), |_| String::new());
    sink.push("first\n");
    assert_eq!(writes.recv().expect("written"), "first\n");
    for line in ["second\n", "third\n"] {
        sink.push(line);
    }
    // Whoever waits for the end need not wait for the rest.
    sink.flush(LONG);
    assert_eq!(writes.try_iter().collect::<Vec<_>>(), ["second\nthird\n"]);
}

#[test]
fn much_to_write_ends_the_rest() {
    let (told, writes) = mpsc::channel();
    let sink = Sink::start(Told(told), Duration::from_secs(3600), |_| String::new());
    sink.push("first\n");
    assert_eq!(writes.recv().expect("written"), "first\n");
    for _ in 0..4096 {
        sink.push("line\n");
    }
    assert!(writes.recv_timeout(LONG).expect("written").starts_with("line\n"));
}

/// Output as the terminal leaves it.
struct Broken(Output, u32);

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 {
            1 => Err(io::ErrorKind::BrokenPipe.into()),
            2 => Err(io::ErrorKind::Interrupted.into()),
            3 => Err(io::ErrorKind::WouldBlock.into()),
            _ => self.0.write(&bytes[..1]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_costs_its_lines_and_nothing_else() {
    let output = Output::default();
    let sink = Sink::start(Broken(output.clone(), 0), REST, |_| String::new());
    sink.push("lost\n");
    sink.flush(LONG);
    sink.push("written\n");
    sink.flush(LONG);
    assert_eq!(output.text(), "written\n");
}
