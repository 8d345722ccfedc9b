//! Who is inside may do what: method and path, for Airbyte's APIs only.
//!
//! Order: [`Access`] and the [`Ceiling`] take away; then the first rule that matches decides; then the default
//! denials; and what nobody has denied is allowed. The local token paths are not Airbyte's, so nothing here sees them.

use std::fmt;

use http::Method;

use super::keys::is_client_name;
use super::pattern::{Care, Pattern, PatternError, same, segments};
use super::refusal::{Refusal, Shown};
use super::target::Api;
use crate::airbyte::known::{self, CONFIG_OPERATIONS, CREDENTIALS, Effect};
use crate::problem;

/// How much is possible at all. Whatever rules say, this only takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Access {
    /// GET, HEAD and OPTIONS; of the Configuration API, which reads by POST, the operations that read.
    ReadOnly,
    /// Also starting and cancelling jobs, of whatever type: the guard sees no bodies.
    SyncOnly,
    /// Everything.
    #[default]
    Full,
}

/// One entry of `policy.rules`: `allow POST /jobs`, `deny * /connections/**`, `deny PUT,PATCH /sources/* as bi,etl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    allows: bool,
    methods: Methods,
    pattern: Pattern,
    /// For these alone; for everybody where it is empty.
    clients: Vec<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Methods {
    Any,
    Some(Vec<Method>),
}

/// Why a string is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Neither three words nor five.
    #[error("a rule looks like \"allow GET,POST /jobs/**\" or \"deny * /sources/** as CLIENT\"")]
    Shape,
    /// Neither allow nor deny.
    #[error("a rule starts with allow or deny")]
    Effect,
    /// Methods are case-sensitive (RFC 9110 §9.1), so `get` would never match.
    #[error("methods are written in capitals and separated by commas, or \"*\"")]
    Method,
    /// The names of clients are those of their key files.
    #[error("clients are named by their key files, separated by commas: \"as etl,bi\"")]
    Client,
    /// See there.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Rule {
    /// Parses `allow|deny METHOD[,METHOD]|* PATTERN [as CLIENT[,CLIENT]]`. GET covers HEAD.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (effect, methods, pattern, clients) = match *words.as_slice() {
            [effect, methods, pattern] => (effect, methods, pattern, Vec::new()),
            [effect, methods, pattern, "as", clients] => (effect, methods, pattern, parse_clients(clients)?),
            _ => return Err(RuleError::Shape),
        };
        let allows = match effect {
            "allow" => true,
            "deny" => false,
            _ => return Err(RuleError::Effect),
        };
        let methods = if methods == "*" { Methods::Any } else { Methods::Some(parse_methods(methods)?) };
        Ok(Self { allows, methods, pattern: Pattern::parse(pattern)?, clients })
    }

    /// The clients that it is for; everybody where there are none.
    pub fn clients(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().map(AsRef::as_ref)
    }

    fn matches(&self, asked: Asked<'_>) -> bool {
        let Asked { method, path, client, .. } = asked;
        if !self.clients.is_empty() && !self.clients.iter().any(|name| Some(&**name) == client) {
            return false;
        }
        let method_fits = match &self.methods {
            Methods::Any => true,
            Methods::Some(methods) => methods
                .iter()
                .any(|listed| listed == method || (*listed == Method::GET && *method == Method::HEAD)),
        };
        let care = if self.allows { Care::Exact } else { Care::Wide };
        method_fits && self.pattern.matches(path, care)
    }
}

fn parse_clients(list: &str) -> Result<Vec<Box<str>>, RuleError> {
    list.split(',')
        .map(|name| if is_client_name(name) { Ok(name.into()) } else { Err(RuleError::Client) })
        .collect()
}

fn parse_methods(list: &str) -> Result<Vec<Method>, RuleError> {
    list.split(',')
        .map(|method| {
            if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
                return Err(RuleError::Method);
            }
            method.parse().map_err(|_| RuleError::Method)
        })
        .collect()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allows { "allow " } else { "deny " })?;
        match &self.methods {
            Methods::Any => f.write_str("*")?,
            Methods::Some(methods) => {
                for (i, method) in methods.iter().enumerate() {
                    write!(f, "{}{method}", if i == 0 { "" } else { "," })?;
                }
            }
        }
        write!(f, " {}", self.pattern.as_str())?;
        if self.clients.is_empty() { Ok(()) } else { write!(f, " as {}", self.clients.join(",")) }
    }
}

/// What the machine's owner leaves to its users. Its rules can deny and, before a denial, except; they allow nothing
/// that the [`Policy`] denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// At most this.
    pub access: Access,
    /// First match decides; without a match the ceiling has no objection.
    pub rules: Vec<Rule>,
    /// Whether a rule of the policy may lift a default denial, which guards credentials.
    pub allow_credentials: bool,
    /// Where it is written, for messages: `/etc/airbyte-proxy/policy.toml`.
    pub source: String,
}

impl Default for Ceiling {
    /// Takes nothing away.
    fn default() -> Self {
        Self { access: Access::Full, rules: Vec::new(), allow_credentials: true, source: String::new() }
    }
}

impl Ceiling {
    /// Whether it takes anything away. If so, nobody may be handed the bare token, to which it would not apply.
    pub fn restricts(&self) -> bool {
        self.access != Access::Full || !self.rules.is_empty() || !self.allow_credentials
    }
}

/// The whole policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The tighter of `read_only` and `policy.preset`.
    pub access: Access,
    /// `policy.rules`.
    pub rules: Vec<Rule>,
    /// What nobody but the machine's owner can lift.
    pub ceiling: Option<Ceiling>,
}

/// What is asked of Airbyte. `path` is below the API's root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) api: Api,
    pub(super) path: &'a str,
    /// Who asks, where a client key tells.
    pub(super) client: Option<&'a str>,
}

impl Policy {
    /// Who may not show the bare token, since what the machine's owner has ruled does not bind whoever holds it: the
    /// file that says so.
    pub fn keeps_token(&self) -> Option<&str> {
        self.ceiling.as_ref().filter(|ceiling| ceiling.restricts()).map(|ceiling| &*ceiling.source)
    }

    /// A rule that was hardly meant to hand out credentials and does: it names no part of the API and lifts a default
    /// denial.
    pub fn sweeping(&self) -> Option<&Rule> {
        self.rules
            .iter()
            .enumerate()
            .find(|(number, rule)| rule.allows && self.lifts(*number, rule))
            .map(|(_, r)| r)
    }

    fn lifts(&self, number: usize, rule: &Rule) -> bool {
        let somebody = rule.clients.first().map(AsRef::as_ref);
        rule.pattern.names_nothing()
            && [Method::GET, Method::POST].iter().any(|method| {
                let asked = Asked { method, api: Api::Public, path: "/applications/x", client: somebody };
                first_match(&self.rules, asked).is_some_and(|(first, _)| first == number)
            })
    }

    /// The rules that can refuse, as refusals name them.
    pub(super) fn labels(&self) -> Vec<String> {
        let denials = |rules: &[Rule], capped| {
            let denials = rules.iter().enumerate().filter(|(_, rule)| !rule.allows);
            denials.map(|(number, _)| label(number, capped)).collect::<Vec<_>>()
        };
        let mut labels = denials(&self.rules, false);
        labels.extend(self.ceiling.iter().flat_map(|ceiling| denials(&ceiling.rules, true)));
        labels
    }

    /// Why a request of the public API, `path` being below its root, would be refused to `client`. For pages that say so
    /// beforehand; what is sent is judged when it comes.
    pub fn denial(&self, method: &Method, path: &str, client: Option<&str>) -> Option<String> {
        let asked = Asked { method, api: Api::Public, path, client };
        self.check(asked).err().map(|refusal| refusal.detail().to_owned())
    }

    /// Decides.
    pub(super) fn check(&self, asked: Asked<'_>) -> Result<(), Refusal> {
        check_access(self.access, asked, None)?;
        if let Some(ceiling) = &self.ceiling {
            check_access(ceiling.access, asked, Some(&ceiling.source))?;
            if let Some((number, rule)) = first_match(&ceiling.rules, asked)
                && !rule.allows
            {
                return Err(denied_by(number, rule, asked, Some(&ceiling.source)));
            }
            if !ceiling.allow_credentials {
                check_defaults(asked).map_err(|_| credentials_are_capped(asked, &ceiling.source))?;
            }
        }
        match first_match(&self.rules, asked) {
            Some((_, rule)) if rule.allows => Ok(()),
            Some((number, rule)) => Err(denied_by(number, rule, asked, None)),
            None => check_defaults(asked),
        }
    }
}

fn first_match<'r>(rules: &'r [Rule], asked: Asked<'_>) -> Option<(usize, &'r Rule)> {
    rules.iter().enumerate().find(|(_, rule)| rule.matches(asked))
}

// === access ===

fn check_access(access: Access, asked: Asked<'_>, capped_by: Option<&str>) -> Result<(), Refusal> {
    let allowed = match access {
        Access::Full => true,
        Access::SyncOnly => reads(asked) || syncs(asked),
        Access::ReadOnly => reads(asked),
    };
    if allowed { Ok(()) } else { Err(beyond(access, asked, capped_by)) }
}

fn reads(asked: Asked<'_>) -> bool {
    if known::only_reads(asked.method) {
        return true;
    }
    // Operations that a rule has opened read if their whole verb says so; `get_or_create` and the like exist.
    let verb = || segments(asked.path).last().is_some_and(|verb| verb == b"get" || verb == b"list");
    asked.api == Api::Config
        && *asked.method == Method::POST
        && (effect(asked) == Some(Effect::Reads) || verb())
}

fn syncs(asked: Asked<'_>) -> bool {
    if asked.api == Api::Config {
        return effect(asked) == Some(Effect::Syncs);
    }
    let mut path = segments(asked.path);
    let jobs = path.next() == Some(b"jobs");
    let (id, end) = (path.next().is_some(), path.next().is_none());
    // POST /jobs starts one, DELETE /jobs/{id} cancels it.
    jobs && end && ((*asked.method == Method::POST && !id) || (*asked.method == Method::DELETE && id))
}

/// What the Configuration API operation asked for does, if it is a known one.
fn effect(asked: Asked<'_>) -> Option<Effect> {
    if *asked.method != Method::POST {
        return None;
    }
    // As clients spell it; else with escapes or slashes to spare.
    if let Ok(at) = CONFIG_OPERATIONS.binary_search_by_key(&asked.path, |op| op.path) {
        return CONFIG_OPERATIONS.get(at).map(|op| op.effect);
    }
    let spelt_otherwise = CONFIG_OPERATIONS.iter().find(|op| {
        let mut path = segments(asked.path);
        segments(op.path).all(|wanted| path.next().is_some_and(|s| same(s, wanted, Care::Exact)))
            && path.next().is_none()
    });
    spelt_otherwise.map(|op| op.effect)
}

fn beyond(access: Access, asked: Asked<'_>, capped_by: Option<&str>) -> Refusal {
    let (rule, says) = match access {
        Access::ReadOnly => (
            "read_only",
            "the proxy is read-only (read_only = true, or policy.preset): reads pass, nothing else",
        ),
        _ => (
            "policy.preset",
            "the proxy is for syncs only (policy.preset = \"sync-only\"): reads, POST /jobs and DELETE /jobs/* pass",
        ),
    };
    let detail = format!("{asked}: {says}{}", Capped(capped_by));
    let rule = if capped_by.is_some() { "policy ceiling" } else { rule };
    // In the public API it is the method that is wrong, whatever the path.
    if access == Access::ReadOnly && asked.api == Api::Public {
        return Refusal::new(problem::METHOD_NOT_ALLOWED, rule, detail).allowing("GET, HEAD, OPTIONS");
    }
    Refusal::new(problem::PATH_NOT_ALLOWED, rule, detail)
}

// === rules ===

fn denied_by(number: usize, rule: &Rule, asked: Asked<'_>, capped_by: Option<&str>) -> Refusal {
    let detail = match capped_by {
        Some(_) => format!("{asked}: rule {number} says \"{rule}\"{}", Capped(capped_by)),
        None => format!(
            "{asked}: policy.rules[{number}] says \"{rule}\"; an allow rule before it would let this pass",
        ),
    };
    Refusal::new(problem::PATH_NOT_ALLOWED, label(number, capped_by.is_some()), detail)
}

fn label(number: usize, capped: bool) -> String {
    format!("{}[{number}]", if capped { "policy ceiling rules" } else { "policy.rules" })
}

fn credentials_are_capped(asked: Asked<'_>, source: &str) -> Refusal {
    let detail = format!("{asked} is denied by default, and no rule may allow it{}", Capped(Some(source)));
    Refusal::new(problem::PATH_NOT_ALLOWED, "policy ceiling", detail)
}

// === defaults ===

fn check_defaults(asked: Asked<'_>) -> Result<(), Refusal> {
    match asked.api {
        Api::Public => check_credentials(asked),
        Api::Config if effect(asked).is_some() => Ok(()),
        Api::Config => Err(Refusal::new(
            problem::PATH_NOT_ALLOWED,
            "default denial",
            format!(
                "{asked}: of the Configuration API only the operations that PyAirbyte and Dagster call pass by \
                 default; {}",
                Remedy(asked, asked.path)
            ),
        )),
    }
}

fn check_credentials(asked: Asked<'_>) -> Result<(), Refusal> {
    let Some(first) = segments(asked.path).next() else {
        return Ok(());
    };
    let denied = CREDENTIALS.iter().find(|credentials| {
        same(first, credentials.segment, Care::Wide)
            && !(credentials.reads_are_fine && known::only_reads(asked.method))
    });
    match denied {
        None => Ok(()),
        Some(credentials) => Err(Refusal::new(
            problem::PATH_NOT_ALLOWED,
            "default denial",
            format!(
                "{asked} answers with {}, so it is denied by default; {}",
                credentials.returns,
                Remedy(asked, credentials.pattern)
            ),
        )),
    }
}

// === words ===

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { self.path };
        write!(f, "{} {}", Shown(self.method.as_str().as_bytes()), Shown(path.as_bytes()))
    }
}

struct Capped<'a>(Option<&'a str>);

impl fmt::Display for Capped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(source) => {
                write!(f, "; capped by {source}, which only the owner of this machine can change")
            }
            None => Ok(()),
        }
    }
}

/// The setting that would allow it, where it can be written down as a rule.
struct Remedy<'a>(Asked<'a>, &'a str);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(asked, pattern) = self;
        let client = asked.client.map(|name| format!(" as {name}")).unwrap_or_default();
        let rule = format!("allow {} {pattern}{client}", asked.method);
        match Rule::parse(&rule) {
            Ok(_) if rule.len() <= 200 && !asked.path.contains('*') => {
                write!(f, "to allow it, set policy.rules = [\"{rule}\"]")
            }
            _ => f.write_str("a rule in policy.rules can allow it"),
        }
    }
}
