//! The request stack: guard, our own routes, admit, lists, authorize, forward, and our own answers.
//!
//! `Proxy::answer` is the stack, top to bottom. Why this order: the guard comes before admit so that a stranger cannot
//! use up permits, and before authorize so that a stranger cannot cause a mint. Authorize stands right outside forward,
//! so that its replay passes through nothing else. Every wait has its own name and bound; there is no blanket timeout,
//! because some of Airbyte's calls take many minutes.

mod access;
mod admit;
mod answer;
mod authorize;
mod cors;
mod headers;
mod idle;
mod labels;
pub mod lists;
mod probes;
mod rate;
mod replay;
mod request_id;
mod target;
mod token_endpoint;
pub mod upstream;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use tokio::sync::watch;

use self::access::Record;
use self::admit::{Admission, Caller, Full, Permit};
pub use self::answer::Answer;
use self::answer::Content;
use self::cors::Cors;
pub use self::labels::labels;
use self::lists::{Asked, Begun, Here, Lists};
pub use self::probes::Probes;
use self::rate::{Rate, Turns};
use self::replay::{Budget, Source};
use self::request_id::REQUEST_ID;
use self::upstream::{Origin, Outgoing, SetupError};
use crate::browser::{names_page, protect};
use crate::control::Control;
use crate::guard::{Admitted, Api, Guard, Route};
use crate::outbound::Outbound;
use crate::problem::{self, Problem};
use crate::server::{Handler, Panicked, Peer, caught};
use crate::telemetry::metrics::{Metrics, Shard};
use crate::token::TokenHandle;

/// Validated settings of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Requests at the same time, over all workers; more are answered 503.
    pub max_in_flight: usize,
    /// Of these, how many one caller may have, where callers are told apart; half where nothing is said.
    pub max_per_client: Option<usize>,
    /// Requests a second, over all workers; more are answered 429.
    pub rate: Option<u32>,
    /// The same for one caller.
    pub rate_per_client: Option<u32>,
    /// How long a client may pause within a request body.
    pub body_idle_timeout: Duration,
    /// The largest request body kept for one replay after a 401.
    pub replay_limit: usize,
    /// All bodies kept for a replay together.
    pub replay_total: usize,
    /// What is done about lists.
    pub lists: lists::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            max_per_client: None,
            rate: None,
            rate_per_client: None,
            body_idle_timeout: Duration::from_secs(30),
            replay_limit: 1024 * 1024,
            replay_total: 64 * 1024 * 1024,
            lists: lists::Config::default(),
        }
    }
}

/// What all workers have in common.
#[derive(Debug)]
pub struct Shared {
    admission: Arc<Admission>,
    rate: Arc<Rate>,
    budget: Arc<Budget>,
    tokens: TokenHandle,
    guard: Guard,
    control: Control,
    /// Our name in `Via`, drawn per process: a loop is our own name coming back.
    pseudonym: String,
    via: [HeaderValue; 2],
    body_idle_timeout: Duration,
    lists: Lists,
    metrics: Arc<Metrics>,
}

impl Shared {
    /// Everything that is one per process. `metrics` have the [`labels`] of `guard`.
    pub fn new(
        config: &Config,
        tokens: TokenHandle,
        guard: Guard,
        control: Control,
        metrics: Arc<Metrics>,
    ) -> Self {
        let pseudonym = format!("airbyte-proxy-{:08x}", fastrand::u32(..));
        let via = ["1.0", "1.1"].map(|version| {
            HeaderValue::try_from(format!("{version} {pseudonym}"))
                .unwrap_or(HeaderValue::from_static("1.1 airbyte-proxy"))
        });
        Self {
            admission: Arc::new(Admission::new(
                config.max_in_flight,
                config.max_per_client,
                metrics.in_flight(),
            )),
            rate: Arc::new(Rate::new(config.rate, config.rate_per_client)),
            budget: Arc::new(Budget::new(config.replay_limit, config.replay_total)),
            tokens,
            guard,
            control,
            pseudonym,
            via,
            body_idle_timeout: config.body_idle_timeout,
            lists: Lists::new(config.lists.clone()),
            metrics,
        }
    }
}

/// How far a request has come. One place for all of it, so that a request takes no more memory than its largest step.
enum Step<'a> {
    Arrived(Request<Incoming>),
    /// By us, at once.
    Answered(Response<Content>),
    Control(Request<Incoming>),
    Token(Request<Incoming>, Admitted),
    Forward(Going<'a>),
    /// Somebody is at it.
    Taken,
}

impl Step<'_> {
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Taken)
    }
}

/// A request that goes to upstream.
struct Going<'a> {
    origin: &'a Origin,
    request: Outgoing,
    asked: Asked,
    turns: Option<Turns>,
    here: Here,
    /// Until there is an answer, which then has it.
    permit: Option<Permit>,
}

/// One worker's stack.
#[derive(Debug, Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// Where this worker counts.
    shard: Arc<Shard>,
    api: Origin,
    config_api: Option<Origin>,
}

impl Proxy {
    /// The stack of one worker, with connections of its own.
    pub fn new(
        shared: Arc<Shared>,
        config: &upstream::Config,
        outbound: &Outbound,
        resumed: &watch::Receiver<u64>,
    ) -> Result<Self, SetupError> {
        let origin = |url| Origin::new(url, config, outbound, resumed.clone());
        let config_api = config.config_api_url.as_ref().map(origin).transpose()?;
        Ok(Self { shard: shared.metrics.shard(), shared, api: origin(&config.api_url)?, config_api })
    }

    /// The same stack with connections of its own, for another worker.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            shard: self.shared.metrics.shard(),
            api: self.api.with_own_pool(),
            config_api: self.config_api.as_ref().map(Origin::with_own_pool),
        }
    }

    /// Makes the first connection before anybody asks. Needs the worker's runtime.
    pub fn warm(&self) {
        self.api.warm();
    }

    /// The stack, but for what is told of the answer.
    async fn answer<'a>(
        &'a self,
        peer: &Peer,
        step: &mut Step<'a>,
        record: &mut Record,
    ) -> Result<(Response<Content>, Option<Permit>), Problem> {
        if let Step::Arrived(request) = step.take() {
            *step = self.admit(peer, request, record)?;
        }
        if let Step::Forward(going) = step {
            let response = self.forward(going, record).await?;
            return Ok((response, going.permit.take()));
        }
        // Boxed, as all that is rare and large: a request takes as much memory as the largest of its ways.
        Box::pin(self.answer_here(step.take(), record)).await.map(|response| (response, None))
    }

    /// Everything that is decided before anybody waits.
    fn admit<'a>(
        &'a self,
        peer: &Peer,
        request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Step<'a>, Problem> {
        let (mut head, body) = request.into_parts();
        let admitted = self.shared.guard.check(peer, &head).map_err(|refusal| {
            record.refused(&refusal, head.uri.path());
            Problem::from(&refusal)
        })?;
        record.admitted(&admitted, head.uri.path());
        if admitted.cors.as_ref().is_some_and(|cors| cors.preflight) {
            return Ok(Step::Answered(cors::preflight(&head.headers)));
        }
        let (api, prefix, whole_lists) = match admitted.route {
            Route::Root | Route::Control => {
                // Pages say beforehand what this client may not do.
                if let Some(client) = admitted.client {
                    head.extensions.insert(client);
                }
                return Ok(Step::Control(Request::from_parts(head, body)));
            }
            Route::Token => return Ok(Step::Token(Request::from_parts(head, body), admitted)),
            Route::Asterisk => return Ok(Step::Answered(no_content())),
            Route::Api { api, prefix, whole_lists } => (api, prefix, whole_lists),
        };
        match admitted.max_forwards {
            // RFC 9110 §7.6.2: whoever counts down to nothing is the one who answers.
            Some(0) => return Ok(Step::Answered(no_content())),
            Some(n) => drop(head.headers.insert(header::MAX_FORWARDS, HeaderValue::from(n - 1))),
            None => {}
        }
        let caller = Caller::of(peer, admitted.client.as_ref());
        let Shared { admission, rate, tokens, .. } = &*self.shared;
        let mut turns = None;
        if rate.is_on() {
            rate.take(caller.as_ref(), tokens.now())?;
            turns = Some(Turns::new(rate, caller.clone()));
        }
        let permit = Some(admission.admit(caller).map_err(overloaded)?);
        let asked = match api {
            Api::Public => self.shared.lists.asked(&head, prefix, whole_lists)?,
            Api::Config => Asked::Other,
        };
        let here = Here::of(&head, prefix);
        let origin = match api {
            Api::Public => &self.api,
            // The guard lets nobody through to an API that is not open.
            Api::Config => self.config_api.as_ref().unwrap_or(&self.api),
        };
        let request = self.outgoing(head, body, origin, prefix, record.request_id())?;
        Ok(Step::Forward(Going { origin, request, asked, turns, here, permit }))
    }

    /// What needs no upstream.
    async fn answer_here(&self, step: Step<'_>, record: &mut Record) -> Result<Response<Content>, Problem> {
        let Shared { guard, control, .. } = &*self.shared;
        match step {
            Step::Answered(response) => Ok(response),
            Step::Control(request) => Ok(control.respond(request).await.map(Content::Control)),
            Step::Token(request, admitted) => {
                let (head, body) = request.into_parts();
                token_endpoint::answer(&head, body, &admitted, guard, record).await
            }
            Step::Arrived(_) | Step::Forward(_) | Step::Taken => Err(given_up()),
        }
    }

    /// One request becomes one at upstream; of a whole list, many.
    async fn forward(
        &self,
        going: &mut Going<'_>,
        record: &mut Record,
    ) -> Result<Response<Content>, Problem> {
        let Shared { tokens, lists, .. } = &*self.shared;
        let Going { origin, request, asked, turns, here, .. } = going;
        let answer = match asked {
            Asked::Nothing(format) => return Ok(lists::nothing(*format)),
            Asked::Whole(whole) => {
                let begun = lists.begin(origin, tokens, request.clone(), whole, turns.take(), record);
                match Box::pin(begun).await? {
                    Begun::Whole(response) => return Ok(response),
                    Begun::Refused(response) => response,
                }
            }
            Asked::Page(_) | Asked::Other => {
                if let Asked::Page(_) = asked {
                    lists::prepare(&mut request.headers);
                }
                let answered = authorize::send(origin, tokens, request).await?;
                record.answered_by_upstream(&answered, &request.body);
                answered.response
            }
        };
        // Nobody asks upstream again.
        let mut response = received(answer, std::mem::take(&mut request.headers));
        lists.mend_locations(response.headers_mut(), origin.url(), here);
        match asked {
            Asked::Page(page) => Box::pin(lists.mend(response, page, here)).await,
            Asked::Whole(whole) => Box::pin(lists::refused(response, whole)).await,
            Asked::Other | Asked::Nothing(_) => Ok(response.map(Content::Relay)),
        }
    }

    fn outgoing(
        &self,
        head: Parts,
        body: Incoming,
        origin: &Origin,
        prefix: usize,
        id: HeaderValue,
    ) -> Result<Outgoing, Problem> {
        if headers::is_loop(&head.headers, &self.shared.pseudonym) {
            let detail = "upstream.api_url leads back to this proxy, directly or through another one";
            return Err(Problem::new(problem::LOOP, detail));
        }
        let via = &self.shared.via[usize::from(head.version != http::Version::HTTP_10)];
        Ok(Outgoing {
            target: target::mapped(&head.uri, prefix, origin.url().path())?,
            method: head.method,
            headers: headers::for_upstream(head.headers, via, id),
            body: Source::new(body, &self.shared.budget, self.shared.body_idle_timeout),
        })
    }
}

impl Handler for Proxy {
    type Body = Answer;

    /// No `async fn`, since that would hold the request besides what has become of it.
    fn handle(&self, peer: &Peer, request: Request<Incoming>) -> impl Future<Output = Response<Answer>> {
        let mut record = Record::start(request.method(), request.headers(), &self.shard);
        // Whether an error would be looked at by a person is only asked if there is one.
        let accept = request.headers().get(header::ACCEPT).cloned();
        let cors = Cors::of(&self.shared.guard, request.headers());
        let body = !request.body().is_end_stream();
        let mut step = Step::Arrived(request);
        async move {
            // Caught here, where the record still is: it tells what the request was, and is counted once.
            let answered = caught(pin!(self.answer(peer, &mut step, &mut record))).await;
            let (mut response, permit) = match answered.unwrap_or_else(|Panicked| Err(given_up())) {
                Ok(answered) => answered,
                Err(mut problem) => {
                    record.problem(problem.kind.name);
                    // RFC 9112 §9.3: read to its end, or close. Nobody will read this body any more.
                    problem.close |= body;
                    let response = problem.response(accept.as_ref().is_some_and(names_page));
                    (response.map(|bytes| Content::Own(Some(bytes))), None)
                }
            };
            cors.tell(response.headers_mut());
            response.headers_mut().insert(REQUEST_ID, record.request_id());
            record.answered(response.status());
            response.map(|content| Answer::new(content, record, permit))
        }
    }

    fn panicked(&self) -> Response<Answer> {
        let problem = given_up();
        let mut record = Record::start(&Method::default(), &HeaderMap::new(), &self.shard);
        record.problem(problem.kind.name);
        record.answered(problem.kind.status);
        let mut response = problem.response(false);
        response.headers_mut().insert(REQUEST_ID, record.request_id());
        response.map(|bytes| Answer::new(Content::Own(Some(bytes)), record, None))
    }
}

/// `spent` are the fields of its request.
fn received(mut response: Response<upstream::Relay>, spent: HeaderMap) -> Response<upstream::Relay> {
    let headers = std::mem::take(response.headers_mut());
    *response.headers_mut() = headers::for_caller(headers, spent);
    *response.version_mut() = http::Version::HTTP_11;
    response
}

fn no_content() -> Response<Content> {
    let mut response = Response::new(Content::Own(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    protect(response.headers_mut());
    response
}

fn given_up() -> Problem {
    Problem::new(problem::INTERNAL, "the request was given up because of a bug; others are not affected")
}

fn overloaded(full: Full) -> Problem {
    let detail = match full {
        Full::All => "as many requests are under way as limits.in_flight allows; try again in a moment",
        Full::Share => {
            "as many requests of this client are under way as it may have (limits.in_flight_per_client, or half of \
             limits.in_flight); try again in a moment"
        }
    };
    Problem::new(problem::OVERLOADED, detail).retry_after(Duration::from_secs(1))
}
