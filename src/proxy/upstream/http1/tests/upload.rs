//! What is written of a request, whatever the pieces it comes and goes in.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::time::{advance, timeout};

use super::super::Error;
use super::super::upload::Upload;
use super::content;
use crate::proxy::upstream::slow::{Frames, Slow};

const HEAD: &[u8] = b"POST /v1/x HTTP/1.1\r\nauthorization: Bearer canary\r\n\r\n";

/// Frames of these lengths; 1,000,000 is none yet. No two bytes that are near each other are alike.
fn frames(lengths: &[usize]) -> (VecDeque<Option<Bytes>>, Vec<u8>) {
    let (mut frames, mut all) = (VecDeque::new(), Vec::new());
    for length in lengths {
        if *length == NONE_YET {
            frames.push_back(None);
            continue;
        }
        let frame: Vec<u8> = (0..251).cycle().skip(all.len() % 251).take(*length).collect();
        all.extend_from_slice(&frame);
        frames.push_back(Some(frame.into()));
    }
    (frames, all)
}

const NONE_YET: usize = 1_000_000;

/// How writing it ends; and what has been written by then behind the head.
fn written(
    frames: VecDeque<Option<Bytes>>,
    length: Option<u64>,
    io: &mut Slow,
) -> (Result<(), Error>, Vec<u8>) {
    let mut upload = Upload::new(BytesMut::from(HEAD), Frames(frames), length);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let bounded = async { timeout(Duration::from_secs(60), poll_fn(|cx| upload.poll(io, cx))).await };
    let end = runtime.block_on(bounded).expect("it ends");
    let behind = io.written.get(HEAD.len()..).unwrap_or_default().to_vec();
    if end.is_ok() {
        assert_eq!(io.written.get(..HEAD.len()), Some(HEAD));
        assert_eq!(io.flushed, io.written.len());
    }
    (end, behind)
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop::sample::select(vec![0, 1, 2, 100, 8192, 8193, 65_536, NONE_YET]);
    prop::collection::vec(length, 0..8)
}

/// At least one of them takes something.
fn steps() -> impl Strategy<Value = Vec<usize>> {
    let few = prop::collection::vec(prop_oneof![0_usize..4, 0_usize..20_000, Just(0)], 0..5);
    let some = prop_oneof![1_usize..40, 8000_usize..8400, 1_usize..200_000];
    (few, some).prop_map(|(mut few, some)| {
        few.push(some);
        few
    })
}

proptest! {
    #[test]
    fn what_is_written_is_the_head_and_the_body(
        lengths in lengths(),
        steps in steps(),
        vectored in any::<bool>(),
        sized in any::<bool>(),
    ) {
        let (frames, all) = frames(&lengths);
        let length = sized.then_some(all.len() as u64);
        let (end, behind) = written(frames, length, &mut Slow::new(&steps, vectored));
        prop_assert!(end.is_ok(), "{:?}", end);
        let body = if sized { behind } else {
            let (body, rest) = content(&[&behind]).expect("well-formed");
            prop_assert_eq!(rest, Some(Vec::new()), "it ends, and nothing is behind it");
            body
        };
        prop_assert!(body == all, "{} of {} bytes", body.len(), all.len());
    }

    #[test]
    fn a_body_that_is_not_as_long_as_was_said_is_never_complete(
        lengths in lengths(),
        steps in steps(),
        vectored in any::<bool>(),
        off in 1_u64..10_000,
        short in any::<bool>(),
    ) {
        let (frames, all) = frames(&lengths);
        let all = all.len() as u64;
        let said = if short { all + off } else { all.saturating_sub(off) };
        // What comes behind a frame that is the last one by what was said is not asked for.
        let mut sum = 0;
        let ends_with_a_frame = lengths.iter().filter(|length| **length != NONE_YET).any(|length| {
            sum += *length as u64;
            sum == said
        });
        prop_assume!(said > 0 && !ends_with_a_frame);
        let (end, behind) = written(frames, Some(said), &mut Slow::new(&steps, vectored));
        prop_assert!(matches!(end, Err(Error::Upload)), "{:?}", end);
        prop_assert!((behind.len() as u64) < said);
    }
}

/// The end of a chunk was once overtaken by the next one, where upstream had taken exactly the content.
#[test]
fn a_writer_that_stops_at_any_byte_gets_everything_in_order() {
    let lengths = [10, 8193, 1, 0, 65_536, 8192, NONE_YET, 3];
    let (one, all) = frames(&lengths);
    let mut whole = Slow::new(&[usize::MAX], true);
    let (end, coded) = written(one.clone(), None, &mut whole);
    assert!(end.is_ok());
    assert_eq!(content(&[&coded]).expect("well-formed"), (all, Some(Vec::new())));
    let total = whole.written.len();
    for first in (1..400).chain(8180..8400).chain(total - 8400..total) {
        let mut io = Slow::new(&[first, 0, 0, 0, usize::MAX], true);
        let (end, again) = written(one.clone(), None, &mut io);
        assert!(end.is_ok() && again == coded, "after {first} bytes");
    }
}

#[test]
fn small_frames_are_written_together_with_the_head() {
    let (frames, _) = frames(&[5, 0, 7]);
    let mut io = Slow::new(&[usize::MAX], true);
    assert!(written(frames, Some(12), &mut io).0.is_ok());
    assert_eq!(io.writes, 1);
}

/// The end of writing 64 KiB to a pipe, of which `each` bytes are taken by the other side every 500 s.
async fn written_slowly(each: usize) -> Result<(), Error> {
    let (mut ours, mut theirs) = tokio::io::duplex(1024);
    let (frames, _) = frames(&[65_536]);
    let mut upload = Upload::new(BytesMut::from(HEAD), Frames(frames), Some(65_536));
    let upload = tokio::spawn(async move { poll_fn(|cx| upload.poll(&mut ours, cx)).await });
    let mut taken = vec![0; each];
    while !upload.is_finished() {
        advance(Duration::from_secs(500)).await;
        if each > 0 {
            let _ = theirs.read(&mut taken).await;
        }
        // Its task has its turn.
        tokio::task::yield_now().await;
    }
    upload.await.expect("a task")
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_upstream_takes_nothing_of_ends() {
    assert!(matches!(written_slowly(0).await, Err(Error::NoRoom)));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_upstream_takes_slowly_goes_on() {
    assert!(written_slowly(1000).await.is_ok());
}

#[test]
fn an_upload_shows_nothing_of_what_it_writes() {
    let (frames, _) = frames(&[5]);
    let upload = Upload::new(BytesMut::from(HEAD), Frames(frames), Some(5));
    assert_eq!(format!("{upload:?}"), "Upload { .. }");
}
