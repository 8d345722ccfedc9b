//! Layers and cross-checks, through the loader that the daemon uses.

use std::time::Duration;

use super::*;
use crate::airbyte::BaseUrl;

fn url(url: &str) -> BaseUrl {
    BaseUrl::parse(url).expect(url)
}

fn flag(name: &str, values: &[&str]) -> (&'static Key, Vec<String>) {
    (keys::find(name).expect(name), values.iter().map(|value| (*value).to_owned()).collect())
}

/// A loader whose user has no file of their own on this machine.
struct Written {
    folder: tempfile::TempDir,
    flags: Flags,
    env: Vec<(String, String)>,
}

impl Written {
    fn file(toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("tempdir");
        let path = folder.path().join("x.toml");
        std::fs::write(&path, toml).expect("write");
        Self { folder, flags: Flags { config: Some(path), ..Flags::default() }, env: Vec::new() }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, name: &str, values: &[&str]) -> Self {
        self.flags.values.push(flag(name, values));
        self
    }

    fn load(&self) -> Result<Loaded, String> {
        let env = self.env.iter().cloned().collect();
        let prefix = format!("{}/", self.folder.path().display());
        load(&self.flags, &env).map_err(|problems| problems.to_string().replace(&prefix, ""))
    }

    fn row(&self, key: &str) -> String {
        let loaded = self.load().expect("valid");
        let row = loaded.rows.iter().find(|row| row.key == key).expect(key);
        let prefix = format!("{}/", self.folder.path().display());
        let line = format!("{} ({})", row.value.as_deref().unwrap_or("-"), row.origin);
        line.replace(&prefix, "")
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let key = "upstream.connect_timeout";
    assert_eq!(Written::file("").row(key), "\"5s\" (default)");
    let written = Written::file("[upstream]\nconnect_timeout = \"6s\"\n");
    assert_eq!(written.row(key), "\"6s\" (x.toml:2)");
    let written = written.env("AIRBYTE_PROXY_UPSTREAM_CONNECT_TIMEOUT", "7s");
    assert_eq!(written.row(key), "\"7s\" (AIRBYTE_PROXY_UPSTREAM_CONNECT_TIMEOUT)");
    let written = written.flag(key, &["8s"]);
    assert_eq!(written.row(key), "\"8s\" (--upstream-connect-timeout)");
    assert_eq!(written.load().expect("valid").config.upstream.connect_timeout, Duration::from_secs(8));
}

#[test]
fn without_any_layer_the_rooms_defaults_hold() {
    let config = Written::file("").load().expect("valid").config;
    let cloud = url(crate::airbyte::paths::CLOUD_API_URL);
    let expected = Config {
        name: None,
        allow_quit: false,
        server: server::Config::default(),
        probes: Vec::new(),
        proxy: proxy::Config::default(),
        guard: guard::Config::default(),
        keys: None,
        mint: mint::Config::new(cloud.join(crate::airbyte::paths::TOKEN_ENDPOINT)),
        upstream: proxy::upstream::Config::new(cloud),
        token: token::Config::default(),
        log: telemetry::Config::default(),
    };
    assert_eq!(config, expected);
}

/// A value for each key that is not its default, so that a key which nobody reads is found.
#[test]
fn every_key_reaches_the_configuration() {
    let folder = tempfile::tempdir().expect("tempdir");
    let pem = folder.path().join("ca.pem");
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").expect("write");
    let keys_dir = folder.path().join("keys");
    std::fs::create_dir(&keys_dir).expect("mkdir");
    std::fs::write(keys_dir.join("etl"), "etl-key-0123456789").expect("write");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(keys_dir.join("etl"), std::fs::Permissions::from_mode(0o600))
            .expect("chmod");
    }
    let base = [("upstream.api_url", "https://airbyte.corp/api/public/v1")];
    let base = || base.iter().map(|(name, value)| flag(name, &[value])).collect::<Vec<_>>();
    let load = |values| {
        let flags = Flags { values, ..Flags::default() };
        load(&flags, &Environment::default()).expect("valid").config
    };
    let before = load(base());
    for key in KEYS.iter().filter(|key| key.credential().is_none()) {
        let value = match (key.name, key.kind) {
            // It widens what another key may be; the other key's tests are its own.
            ("token.allow_other_host" | "upstream.allow_http", _) => continue,
            ("upstream.ca_file", _) => pem.to_str().expect("UTF-8").to_owned(),
            ("guard.keys_dir", _) => keys_dir.to_str().expect("UTF-8").to_owned(),
            (_, keys::Kind::OwnUrl) => "https://airbyte.example/".to_owned(),
            (_, keys::Kind::Name) => "prod".to_owned(),
            (_, keys::Kind::Hosts) => "proxy.corp".to_owned(),
            (_, keys::Kind::Origins) => "http://localhost:3000".to_owned(),
            (_, keys::Kind::Users) => "1001".to_owned(),
            (_, keys::Kind::Rules) => "deny * /connections/**".to_owned(),
            ("upstream.config_api_url", _) => "auto".to_owned(),
            ("upstream.api_url" | "token.url", _) => "https://airbyte.corp/other".to_owned(),
            (_, keys::Kind::Switch) => (key.default == Some("false")).to_string(),
            (_, keys::Kind::Count(_, most)) => most.min(7).to_string(),
            (_, keys::Kind::Size(_)) => "3MiB".to_owned(),
            (_, keys::Kind::Duration(..)) => "17s".to_owned(),
            (_, keys::Kind::Word(words)) => (*words.last().expect("words")).to_owned(),
            (_, keys::Kind::Proxy) => "http://proxy:3128".to_owned(),
            (_, keys::Kind::Listen) => "9999".to_owned(),
            (name, _) => panic!("no value for {name}"),
        };
        let mut values = base();
        values.push(flag(key.name, &[&value]));
        assert_ne!(load(values), before, "{} changes nothing", key.name);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let told =
        Written::file("lisen = 1\n[upstream]\napi_url = \"ftp://x\"\nhttp = 2\n[log]\nlevel = \"loud\"\n")
            .env("AIRBYTE_PROXY_DRAIN_GRACE", "soon")
            .env("AIRBYTE_PROXY_PORT", "tcp://10.0.0.1:8484")
            .env("AIRBYTE_PROXY_SERVICE_HOST", "10.0.0.1")
            .env("AIRBYTE_PROXY_PORT_8484_TCP_ADDR", "10.0.0.1")
            .flag("workers", &["-1"])
            .load()
            .expect_err("wrong");
    for place in ["x.toml:1: lisen: ", "x.toml:3: upstream.api_url: ", "x.toml:4: upstream.http: "] {
        assert!(told.contains(place), "{told}");
    }
    for place in ["x.toml:6: log.level: ", "AIRBYTE_PROXY_DRAIN_GRACE: ", "--workers: "] {
        assert!(told.contains(place), "{told}");
    }
    assert!(!told.contains("SERVICE") && !told.contains("PORT"), "{told}");
    assert_eq!(told.lines().filter(|line| !line.starts_with("  ")).count(), 6, "{told}");
}

#[test]
fn a_wrong_value_is_not_checked_against_others_through_its_default() {
    let told = Written::file(
        "[upstream]\napi_url = \"airbyte.corp\"\n[token]\nurl = \"https://airbyte.corp/token\"\n\
         [limits]\nreplay_total = \"many\"\nreplay_body = \"128MiB\"",
    );
    let told = told.load().expect_err("wrong");
    assert!(told.contains("upstream.api_url: ") && told.contains("limits.replay_total: "), "{told}");
    assert_eq!(told.lines().filter(|line| !line.starts_with("  ")).count(), 2, "{told}");
}

#[test]
fn published_port_listens_everywhere_unless_listen_says_where() {
    let shown = |written: &Written| written.row("listen");
    let written = Written::file("published_port = true");
    assert_eq!(shown(&written), r#"["0.0.0.0:8484", "[::]:8484"] (default)"#);
    let written = written.flag("listen", &["127.0.0.1:1", "[::1]:2"]);
    assert_eq!(shown(&written), r#"["127.0.0.1:1", "[::1]:2"] (--listen)"#);
    let open = Written::file("listen = [\"0.0.0.0:80\"]").load().expect_err("open");
    assert!(open.contains("x.toml:1: listen: 0.0.0.0:80 is reachable from other machines"), "{open}");
}

#[test]
fn configuration_api_is_off_or_of_the_same_host() {
    assert_eq!(Written::file("").load().expect("valid").config.upstream.config_api_url, None);
    let written = Written::file(
        "[upstream]\nconfig_api_url = \"auto\"\napi_url = \"http://localhost:8000/api/public/v1\"",
    );
    let upstream = written.load().expect("valid").config.upstream;
    assert_eq!(upstream.config_api_url, Some(url("http://localhost:8000/api/v1")));
}

#[test]
fn token_endpoint_may_be_on_the_configuration_apis_host() {
    let written = |more: &str| {
        Written::file(&format!(
            "[token]\nurl = \"https://cloud.airbyte.com/api/v1/applications/token\"\n{more}"
        ))
    };
    let told = written("").load().expect_err("other host");
    assert!(told.contains("cloud.airbyte.com") && told.contains("api.airbyte.com"), "{told}");
    assert!(written("allow_other_host = true").load().is_ok());
    let both = written("[upstream]\nconfig_api_url = \"https://cloud.airbyte.com/api/v1\"");
    assert!(both.load().is_ok());
}

#[test]
fn plain_http_to_another_machine_needs_a_word() {
    let written = |more: &str| {
        Written::file(&format!("[upstream]\napi_url = \"http://airbyte.corp/api/public/v1\"\n{more}"))
    };
    assert!(written("").load().expect_err("clear").contains("in clear"));
    let loaded = written("allow_http = true").load().expect("allowed");
    assert!(loaded.warnings.iter().any(|warning| warning.contains("in clear")));
}

#[test]
fn credentials_come_from_the_uppermost_layer_as_a_pair() {
    let written =
        Written::file("credentials.client_id = \"f\"\ncredentials.client_secret_command = [\"cat\"]");
    let place = |written: &Written| {
        let source = written.load().expect("valid").credentials.expect("given");
        (source.id().place.clone(), source.secret().place.clone())
    };
    let pair = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
    let (id, secret) = place(&written);
    assert!(id.ends_with("x.toml:1: credentials.client_id"), "{id}");
    assert!(secret.ends_with("x.toml:2: credentials.client_secret_command"), "{secret}");

    let folder = tempfile::tempdir().expect("tempdir");
    for name in ["client-id", "client-secret"] {
        std::fs::write(folder.path().join(name), "x\n").expect("write");
    }
    let written = written.env("CREDENTIALS_DIRECTORY", folder.path().to_str().expect("UTF-8"));
    assert_eq!(
        place(&written),
        pair("$CREDENTIALS_DIRECTORY/client-id", "$CREDENTIALS_DIRECTORY/client-secret")
    );
    let written = written.env("AIRBYTE_CLIENT_ID", "e").env("AIRBYTE_CLIENT_SECRET", "s");
    assert_eq!(place(&written), pair("AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET"));
    let mut written = written.flag("credentials.client_id", &["a"]);
    let told = written.load().expect_err("half a pair");
    assert!(told.starts_with("--client-id: a client id without a client secret"), "{told}");
    written.flags.client_secret = Some(Secret::new("s".into()));
    assert_eq!(place(&written), pair("--client-id", "--client-secret-stdin"));
}

#[test]
fn no_credentials_is_no_problem_of_the_configuration() {
    assert_eq!(Written::file("").load().expect("valid").credentials, None);
}

#[test]
fn paths_in_a_file_start_at_its_folder() {
    let told = Written::file("upstream.ca_file = \"ca.pem\"").load().expect_err("missing");
    assert!(told.starts_with("x.toml:1: upstream.ca_file: ca.pem: "), "{told}");
}

#[test]
fn the_users_file_comes_before_the_systems() {
    let env: Environment = [("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/me")].into_iter().collect();
    assert_eq!(file::default_paths(&env)[0], PathBuf::from("/x/airbyte-proxy/config.toml"));
    let env: Environment = [("XDG_CONFIG_HOME", "relative"), ("HOME", "/home/me")].into_iter().collect();
    let paths = file::default_paths(&env);
    assert_eq!(paths[0], PathBuf::from("/home/me/.config/airbyte-proxy/config.toml"));
    assert_eq!(paths[1], PathBuf::from("/etc/airbyte-proxy/config.toml"));
    assert_eq!(file::default_paths(&Environment::default()).len(), 1);
}

#[test]
fn demo_takes_local_keys_only() {
    let env = [("AIRBYTE_PROXY_UPSTREAM_API_URL", "nonsense"), ("AIRBYTE_PROXY_LOG_LEVEL", "debug")];
    let env = env.into_iter().collect();
    let mut flags = Flags { values: vec![flag("listen", &["9000"])], ..Flags::default() };
    let config = load_local(&flags, &env).expect("valid");
    assert_eq!((config.server.listen.len(), config.log.level.to_string()), (2, "debug".to_owned()));
    flags.values.push(flag("upstream.api_url", &["https://x/v1"]));
    let told = load_local(&flags, &env).expect_err("not here").to_string();
    assert!(told.starts_with("--upstream-api-url: does nothing here\n"), "{told}");
}

#[test]
fn nothing_prints_the_environments_values() {
    let env: Environment =
        [("AIRBYTE_CLIENT_SECRET", "hunter2"), ("AIRBYTE_CLIENT_ID", "an-id")].into_iter().collect();
    let loaded = load(&Flags::default(), &env).expect("valid");
    let printed = format!("{env:?} {loaded:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
}
