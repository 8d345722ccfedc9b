//! The layers, merged: for every key the value that counts and where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::{Environment, PREFIX};
use super::file::File;
use super::keys::{KEYS, Key, find};
use super::listen;
use super::problem::{Origin, Problem, Problems, Wrong};
use super::raw::{Raw, quoted};
use super::suggest;
use super::value::{self, Value};
use crate::airbyte::BaseUrl;
use crate::guard::Rule;
use crate::server::{Listen, passed};

/// Variables with our prefix that are no keys: Kubernetes sets them for a Service named `airbyte-proxy`, and the
/// others tell programs where a proxy is.
const FOREIGN: [&str; 3] = ["AIRBYTE_PROXY_PORT", "AIRBYTE_PROXY_URL", "AIRBYTE_PROXY_KEY"];
const FOREIGN_PREFIXES: [&str; 2] = ["AIRBYTE_PROXY_PORT_", "AIRBYTE_PROXY_SERVICE_"];
/// Names the file, so it cannot be a key in it.
pub(crate) const CONFIG_VARIABLE: &str = "AIRBYTE_PROXY_CONFIG";

/// What counts, and why.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    /// In TOML, fit to be shown.
    pub(crate) shown: String,
    pub(crate) origin: Origin,
}

/// The merged layers. Later layers replace earlier ones; a wrong value is a problem in whichever layer it stands.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    merged: BTreeMap<&'static str, Entry>,
    /// Not merged: a client id of one layer does not go with a secret of another.
    credentials: Vec<(&'static Key, Entry)>,
    /// Keys with a problem in some layer.
    wrong: BTreeSet<&'static str>,
    slip_in_credentials: bool,
}

impl Settings {
    /// Only the defaults.
    pub(crate) fn defaults(problems: &mut Problems) -> Self {
        let mut settings = Self::default();
        for key in KEYS {
            if let Some(default) = key.default {
                settings.add_texts(key, &[default.to_owned()], Origin::Default, problems);
            }
        }
        settings
    }

    pub(crate) fn add_file(&mut self, file: &File, problems: &mut Problems) {
        self.slip_in_credentials |= file.slip_in_credentials;
        let folder = file.path.parent();
        for (key, raw, origin) in &file.entries {
            self.add(key, raw, origin.clone(), folder, problems);
        }
    }

    /// All of our variables: keys, those that are none of our business, and slips.
    pub(crate) fn add_environment(
        &mut self,
        env: &Environment,
        problems: &mut Problems,
        wanted: impl Fn(&Key) -> bool,
    ) {
        let known: Vec<_> = KEYS.iter().map(|key| (key, key.env())).collect();
        for (key, name) in known.iter().filter(|(key, _)| wanted(key)) {
            let Some(value) = env.get(name) else { continue };
            let origin = Origin::Env(name.clone());
            match value.to_str() {
                Some(text) => self.add_texts(key, &[text.to_owned()], origin, problems),
                None => self.reject(key, Wrong::new("is not UTF-8 text").at(&origin, key.name), problems),
            }
        }
        for name in env.own_names() {
            if !is_foreign(name) && !known.iter().any(|(_, known)| known == name) {
                problems.add(unknown(name, &known));
            }
        }
    }

    pub(crate) fn add_texts(
        &mut self,
        key: &'static Key,
        texts: &[String],
        origin: Origin,
        problems: &mut Problems,
    ) {
        match Raw::from_texts(key.kind, texts) {
            Ok(raw) => self.add(key, &raw, origin, None, problems),
            Err(wrong) => self.reject(key, wrong.at(&origin, key.name), problems),
        }
    }

    /// Above every layer: sockets that were passed to us stand in for `listen`, and the same rules hold for them.
    pub(crate) fn take_over(&mut self, sockets: &[Listen]) {
        if sockets.is_empty() {
            return;
        }
        let shown: Vec<_> = sockets.iter().map(|one| quoted(&listen::shown(one))).collect();
        let (value, shown) = (Value::Listen(sockets.to_vec()), format!("[{}]", shown.join(", ")));
        self.merged.insert("listen", Entry { value, shown, origin: Origin::Env(passed::COUNT.to_owned()) });
    }

    fn add(
        &mut self,
        key: &'static Key,
        raw: &Raw,
        origin: Origin,
        folder: Option<&Path>,
        problems: &mut Problems,
    ) {
        match value::parse(key.kind, raw, folder) {
            Ok(value) => {
                let entry = Entry { value, shown: raw.show(key.kind), origin };
                if key.credential().is_some() {
                    self.credentials.push((key, entry));
                } else {
                    self.merged.insert(key.name, entry);
                }
            }
            Err(wrong) => self.reject(key, wrong.at(&origin, key.name), problems),
        }
    }

    /// The value of a lower layer goes too, or checks between keys would speak of one that was not meant.
    fn reject(&mut self, key: &'static Key, problem: Problem, problems: &mut Problems) {
        self.wrong.insert(key.name);
        self.merged.remove(key.name);
        problems.add(problem);
    }

    /// The keys of the credentials that were given in the layers for which `layer` holds.
    pub(crate) fn credentials(
        &self,
        layer: impl Fn(&Origin) -> bool,
    ) -> impl Iterator<Item = &(&'static Key, Entry)> {
        self.credentials.iter().filter(move |(_, entry)| layer(&entry.origin))
    }

    /// Whether a problem with one of them has been told already.
    pub(crate) fn credentials_are_wrong(&self) -> bool {
        let is_credential = |name: &&str| find(name).is_some_and(|key| key.credential().is_some());
        self.slip_in_credentials || self.wrong.iter().any(is_credential)
    }

    /// Whether a problem with `name` has been told already.
    pub(crate) fn is_wrong(&self, name: &str) -> bool {
        self.wrong.contains(name)
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        debug_assert!(find(name).is_some(), "{name} is not in the table of keys");
        self.merged.get(name)
    }

    /// `wrong`, said of the place where `name` was written.
    pub(crate) fn problem(&self, name: &str, wrong: Wrong) -> Problem {
        let origin = self.entry(name).map_or(&Origin::Default, |entry| &entry.origin);
        wrong.at(origin, name)
    }

    /// Whether any layer above the defaults says something.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.origin != Origin::Default)
    }
}

fn is_foreign(name: &str) -> bool {
    name == CONFIG_VARIABLE
        || FOREIGN.contains(&name)
        || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn unknown(name: &str, known: &[(&Key, String)]) -> Problem {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let credential = format!("AIRBYTE_{}", rest.strip_prefix("CREDENTIALS_").unwrap_or(rest));
    let names = known.iter().map(|(_, name)| name.as_str());
    let meant = names
        .clone()
        .chain(["AIRBYTE_CLIENT_SECRET"])
        .find(|name| *name == credential)
        .or_else(|| suggest::nearest(name, names));
    let hint = meant.map_or_else(
        || "names are keys in capitals: upstream.api_url is AIRBYTE_PROXY_UPSTREAM_API_URL".to_owned(),
        |meant| format!("did you mean {meant}?"),
    );
    Wrong::new("unknown variable").hint(hint).at(&Origin::Env(name.to_owned()), name)
}

/// Typed access. A key whose value was wrong yields a stand-in, which nobody sees because the problem ends it all.
impl Settings {
    pub(crate) fn switch(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Switch(true)))
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        if let Some(Value::Count(n)) = self.value(name) { *n } else { 0 }
    }

    pub(crate) fn size(&self, name: &str) -> usize {
        usize::try_from(self.count(name)).unwrap_or(usize::MAX)
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        if let Some(Value::Duration(d)) = self.value(name) { *d } else { Duration::ZERO }
    }

    pub(crate) fn word(&self, name: &str) -> &'static str {
        if let Some(Value::Word(word)) = self.value(name) { word } else { "" }
    }

    pub(crate) fn url(&self, name: &str) -> Option<&BaseUrl> {
        if let Some(Value::Url(url)) = self.value(name) { Some(url) } else { None }
    }

    pub(crate) fn path(&self, name: &str) -> Option<&PathBuf> {
        if let Some(Value::Path(path)) = self.value(name) { Some(path) } else { None }
    }

    pub(crate) fn name(&self, name: &str) -> Option<&str> {
        if let Some(Value::Name(text)) = self.value(name) { Some(text) } else { None }
    }

    pub(crate) fn rules(&self, name: &str) -> &[Rule] {
        if let Some(Value::Rules(rules)) = self.value(name) { rules } else { &[] }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// Shows `shown` where validation has derived the value from others.
    pub(crate) fn derive(&mut self, name: &'static str, value: Value, shown: String) {
        let origin = self.merged.get(name).map_or(Origin::Default, |entry| entry.origin.clone());
        self.merged.insert(name, Entry { value, shown, origin });
    }
}
