//! A configuration file that is yet to be written.

use std::fmt::Write as _;

use super::keys::{KEYS, find};

/// Some keys and their values.
#[derive(Debug, Clone, Default)]
pub struct Draft(Vec<(&'static str, String)>);

impl Draft {
    /// Sets `key` to `value`, which is TOML. What is no key is left out: the loader would refuse the file.
    pub fn set(&mut self, key: &'static str, value: String) {
        if find(key).is_some() {
            self.0.retain(|(other, _)| *other != key);
            self.0.push((key, value));
        }
    }

    /// The file, with a line about each key.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# airbyte-proxy, as `airbyte-proxy init` has set it up. A flag beats a variable, which beats this file.\n\
             # `airbyte-proxy check` shows all keys and what is in force, `airbyte-proxy doctor` what is wrong.\n",
        );
        let mut open = "";
        // Keys without a section come first in the table, as TOML needs it.
        for key in KEYS {
            let Some((_, value)) = self.0.iter().find(|(name, _)| *name == key.name) else { continue };
            let (section, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if section != open {
                let _ = write!(text, "\n[{section}]");
                open = section;
            }
            let _ = write!(text, "\n# {}\n{name} = {value}\n", key.doc);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, load, quoted};
    use super::*;

    #[test]
    fn a_draft_is_a_file_that_loads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        let mut draft = Draft::default();
        for (key, value) in [
            ("upstream.api_url", quoted("https://airbyte.corp/v1")),
            ("token.body", quoted("form")),
            ("listen", "[\"127.0.0.1:9000\"]".to_owned()),
            ("read_only", "true".to_owned()),
            ("upstream.api_url", quoted("https://airbyte.corp/api/public/v1")),
            ("nothing.of_ours", "1".to_owned()),
        ] {
            draft.set(key, value);
        }
        std::fs::write(&path, draft.text()).expect("written");
        let flags = Flags { config: Some(path), ..Flags::default() };
        let config = load(&flags, &super::super::Environment::default()).expect("valid").config;
        assert_eq!(config.upstream.api_url.to_string(), "https://airbyte.corp/api/public/v1");
        assert_eq!(config.server.listen[0].to_string(), "http://127.0.0.1:9000");
        assert_eq!(config.mint.body, crate::mint::BodyFormat::Form);
    }
}
