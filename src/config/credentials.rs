//! Which layer the credentials come from. Id and secret come from the same one, as a pair.

use std::path::PathBuf;

use super::environment::Environment;
use super::problem::{Origin, Problem, Problems, Wrong};
use super::settings::{Entry, Settings};
use super::value::Value;
use crate::secret::{self, Half, Secret, Source, Trusted};

const SECRET_VARIABLE: &str = "AIRBYTE_CLIENT_SECRET";
const SYSTEMD: &str = "CREDENTIALS_DIRECTORY";

#[derive(Default)]
struct Layer {
    ids: Vec<Half>,
    secrets: Vec<Half>,
    /// How the missing half would be given here.
    id_hint: &'static str,
    secret_hint: &'static str,
}

/// The credentials of the uppermost layer that has any. None: nobody gave any, or `problems` tells what is wrong.
pub(super) fn choose(
    settings: &Settings,
    stdin: Option<&Secret>,
    env: &Environment,
    problems: &mut Problems,
) -> Option<Source> {
    if settings.credentials_are_wrong() {
        return None;
    }
    let layers = [flags(settings, stdin), environment(settings, env, problems), systemd(env), file(settings)];
    let layer = layers.into_iter().find(|layer| !layer.ids.is_empty() || !layer.secrets.is_empty())?;
    let id_of = |half: &Half| half.place.clone();
    let (ids, secrets) = (layer.ids.iter().map(id_of), layer.secrets.iter().map(id_of));
    let (ids, secrets): (Vec<_>, Vec<_>) = (ids.collect(), secrets.collect());
    let mut complain = |place: &str, what: String, hint: &str| {
        let hint = Some(hint.to_owned());
        problems.add(Problem { place: Some(place.to_owned()), what, hint });
    };
    match (&ids[..], &secrets[..]) {
        ([first, second, ..], _) => {
            complain(first, format!("the client id is given twice, also by {second}"), "keep one of the two");
        }
        (_, [first, second, ..]) => {
            complain(
                first,
                format!("the client secret is given twice, also by {second}"),
                "keep one of the two",
            );
        }
        ([id], []) => complain(id, "a client id without a client secret".to_owned(), layer.secret_hint),
        ([], [secret]) => complain(secret, "a client secret without a client id".to_owned(), layer.id_hint),
        _ => {
            let mut halves = layer.ids.into_iter().chain(layer.secrets);
            return Some(Source::new(halves.next()?, halves.next()?, trusted(env)));
        }
    }
    None
}

/// The variable by which systemd names its folder of credentials.
pub(crate) fn trusted_variable() -> &'static str {
    SYSTEMD
}

/// Folders whose files may be readable by others.
pub(crate) fn trusted(env: &Environment) -> Trusted {
    Trusted {
        credentials_directory: env.get(SYSTEMD).map(PathBuf::from),
        temporary: env.get("TMPDIR").map(PathBuf::from),
    }
}

fn flags(settings: &Settings, stdin: Option<&Secret>) -> Layer {
    let mut layer = of(settings, |origin| matches!(origin, Origin::Flag(_)));
    layer.secrets.extend(stdin.map(|secret| Half {
        place: "--client-secret-stdin".to_owned(),
        origin: secret::Origin::Value(secret.clone()),
    }));
    layer.id_hint = "both come from the same layer: add --client-id ID";
    layer.secret_hint =
        "both come from the same layer: add --client-secret-stdin or --client-secret-file FILE";
    layer
}

fn environment(settings: &Settings, env: &Environment, problems: &mut Problems) -> Layer {
    let mut layer = of(settings, |origin| matches!(origin, Origin::Env(_)));
    if let Some(value) = env.get(SECRET_VARIABLE) {
        let place = SECRET_VARIABLE.to_owned();
        match value.to_str() {
            Some(text) => {
                let origin = secret::Origin::Value(Secret::new(text.to_owned()));
                layer.secrets.push(Half { place, origin });
            }
            None => problems.add(Wrong::new("is not UTF-8 text").at(&Origin::Env(place), SECRET_VARIABLE)),
        }
    }
    layer.id_hint = "both come from the same layer: set AIRBYTE_CLIENT_ID or AIRBYTE_CLIENT_ID_FILE";
    layer.secret_hint =
        "both come from the same layer: set AIRBYTE_CLIENT_SECRET or AIRBYTE_CLIENT_SECRET_FILE";
    layer
}

/// `LoadCredential=client-id:…` and `LoadCredential=client-secret:…` of a systemd unit.
fn systemd(env: &Environment) -> Layer {
    let half = |name: &str| {
        let path = PathBuf::from(env.get(SYSTEMD)?).join(name);
        let origin = secret::Origin::File { path: path.clone(), bare: false };
        // One that we may not look at is there: to read it tells why.
        let absent = matches!(path.try_exists(), Ok(false));
        (!absent).then(|| Half { place: format!("${SYSTEMD}/{name}"), origin })
    };
    Layer {
        ids: half("client-id").into_iter().collect(),
        secrets: half("client-secret").into_iter().collect(),
        id_hint: "both come from the same layer: LoadCredential=client-id:/path",
        secret_hint: "both come from the same layer: LoadCredential=client-secret:/path",
    }
}

fn file(settings: &Settings) -> Layer {
    let mut layer = of(settings, |origin| matches!(origin, Origin::File { .. }));
    layer.id_hint = "both come from the same layer: add credentials.client_id";
    layer.secret_hint = "both come from the same layer: add credentials.client_secret_file or \
                         credentials.client_secret_command";
    layer
}

fn of(settings: &Settings, which: impl Fn(&Origin) -> bool) -> Layer {
    let mut layer = Layer::default();
    for (key, entry) in settings.credentials(which) {
        let place = match &entry.origin {
            Origin::File { .. } => format!("{}: {}", entry.origin, key.name),
            origin => origin.to_string(),
        };
        let Some(origin) = fetched(entry) else { continue };
        let is_id = key.name.starts_with("credentials.client_id");
        let halves = if is_id { &mut layer.ids } else { &mut layer.secrets };
        halves.push(Half { place, origin });
    }
    layer
}

fn fetched(entry: &Entry) -> Option<secret::Origin> {
    match &entry.value {
        Value::Id(id) => Some(secret::Origin::Value(Secret::new(id.clone()))),
        Value::Path(path) => {
            Some(secret::Origin::File { path: path.clone(), bare: !entry.shown.contains(['/', '\\']) })
        }
        Value::Command(argv) => Some(secret::Origin::Command(argv.clone())),
        _ => None,
    }
}
