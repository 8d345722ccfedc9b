//! The lists that Airbyte hands out page by page: whole ones in one answer, and pages whose links lead back here.
//!
//! Both rest on the same: a page is the caller's own query and a row offset, never upstream's link, which names another
//! host and loses filters. `asked` reads what a request wants; `links` mends one page; `walk` finds the way through all
//! of them, with `pages` to fetch and `rows` to take one apart; `whole` writes the answer.

mod asked;
mod decoded;
mod here;
mod links;
mod pages;
mod query;
mod rows;
mod walk;
mod whole;

use http::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;

pub(super) use self::asked::Asked;
use self::asked::{Page, Whole};
pub(super) use self::decoded::{Decoded, ReadError};
pub(super) use self::here::Here;
use self::pages::Pages;
pub(super) use self::whole::{Begun, Rest, nothing};
use super::access::Record;
use super::answer::Content;
use super::rate::Turns;
use super::upstream::{Origin, Outgoing, Relay};
use crate::airbyte::BaseUrl;
use crate::problem::Problem;
use crate::token::TokenHandle;

/// Validated settings of lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Links in pages of lists, and `Location`, lead to the proxy instead of past it.
    pub mend_links: bool,
    /// Pages of a whole list that are fetched while the one before them is sent.
    pub pages_ahead: usize,
    /// Pages that all whole lists together ask for at the same time; others wait for their turn.
    pub pages_at_once: usize,
    /// The pause before a page is asked for again; later ones are longer. Not a setting.
    pub retry_pause: Duration,
    /// What links begin with, where it is not the host that the caller used.
    pub public_url: Option<BaseUrl>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mend_links: true,
            pages_ahead: 1,
            pages_at_once: 8,
            retry_pause: Duration::from_millis(250),
            public_url: None,
        }
    }
}

/// What is done about lists, for all workers.
#[derive(Debug)]
pub(super) struct Lists {
    config: Config,
    slots: Arc<Semaphore>,
}

impl Lists {
    pub(super) fn new(config: Config) -> Self {
        let slots = Arc::new(Semaphore::new(config.pages_at_once));
        Self { config, slots }
    }

    /// What a request to the public API asks of a list. `prefix` is the length of its local prefix.
    pub(super) fn asked(&self, head: &Parts, prefix: usize, whole_lists: bool) -> Result<Asked, Problem> {
        let path = head.uri.path().get(prefix..).unwrap_or_default();
        match Asked::of(head, path, whole_lists)? {
            Asked::Page(_) if !self.config.mend_links || links::forbids(&head.headers) => Ok(Asked::Other),
            asked => Ok(asked),
        }
    }

    /// `Location` fields of any answer.
    pub(super) fn mend_locations(&self, headers: &mut HeaderMap, upstream: &BaseUrl, here: &Here) {
        if self.config.mend_links {
            here.mend_locations(headers, upstream, self.config.public_url.as_ref());
        }
    }

    /// The answer to a request for a page.
    pub(super) async fn mend(
        &self,
        response: Response<Relay>,
        page: &Page,
        here: &Here,
    ) -> Result<Response<Content>, Problem> {
        let mended = links::mend(response, page, here, self.config.public_url.as_ref()).await;
        mended.map_err(ReadError::into_problem)
    }

    /// Begins a whole list, of which `request` is the first draft. Its further pages take `turns`.
    pub(super) async fn begin(
        &self,
        origin: &Origin,
        tokens: &TokenHandle,
        mut request: Outgoing,
        asked: &Whole,
        turns: Option<Turns>,
        record: &mut Record,
    ) -> Result<Begun, Problem> {
        prepare(&mut request.headers);
        // Of conditions on the whole list no page knows.
        for name in [
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
        ] {
            request.headers.remove(name);
        }
        let pages = Pages {
            origin: origin.clone(),
            tokens: tokens.clone(),
            path: request.target.path().to_owned(),
            headers: request.headers,
            query: asked.query.clone(),
            list: asked.list,
            slots: Arc::clone(&self.slots),
            turns,
            first_pause: self.config.retry_pause,
        };
        whole::begin(pages, asked, self.config.pages_ahead, record).await
    }
}

/// What upstream says to the first page of a whole list where that is no page.
pub(super) async fn refused(response: Response<Relay>, asked: &Whole) -> Result<Response<Content>, Problem> {
    let (mut head, relay) = response.into_parts();
    let decoded = Decoded::new(relay, &mut head.headers);
    // The page was asked for with GET, whatever the caller's method.
    let content = if asked.head_only {
        Content::Own(None)
    } else {
        decoded.content().await.map_err(ReadError::into_problem)?
    };
    Ok(Response::from_parts(head, content))
}

/// A part of what we change is of no use to the caller; and content in a coding that we cannot take off, of none to us.
pub(super) fn prepare(headers: &mut HeaderMap) {
    headers.remove(header::RANGE);
    headers.remove(header::IF_RANGE);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"));
}
