//! A secret on the command line is refused before anything could repeat it.
//!
//! Arguments are readable by every user of the machine (`ps`) and stay in the shell's history. clap would quote an
//! argument that it does not know, so this looks first.

use std::ffi::OsString;

const ADVICE: &str = "  hint: pipe it: … | airbyte-proxy --client-id ID --client-secret-stdin
  hint: or set AIRBYTE_CLIENT_SECRET, or name its file with --client-secret-file
  hint: if it was real, replace it in Airbyte: the shell's history and other users may have it";

/// What to tell, if one of `args` is or carries a secret. Its value is not in it.
pub(super) fn secret_on_command_line(args: &[OsString]) -> Option<String> {
    let mut args = args.iter().skip(1).map(|arg| arg.to_string_lossy()).peekable();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, _)) => (name, true),
            None => (&*arg, false),
        };
        if has_password(&arg) {
            return Some(format!(
                "{}: a password must not stand on the command line, where every user of this machine can read it\n  \
                 hint: set AIRBYTE_PROXY_UPSTREAM_PROXY, or upstream.proxy in a configuration file that only you can \
                 read",
                if name.starts_with('-') { name } else { "a URL among the arguments" }
            ));
        }
        // `--client-secret-stdin s3cret` is a misunderstanding; a command after it is not.
        let mut stray = || args.peek().is_some_and(|next| !next.starts_with('-') && !is_command(next));
        let refused = match plain(name).as_str() {
            "client-secret-file" => false,
            "client-secret-stdin" => value || stray(),
            plain => name.starts_with('-') && is_secret(plain),
        };
        if refused {
            let shown: String = name.chars().take(40).collect();
            return Some(format!(
                "{shown}: a secret must not stand on the command line, where every user of this machine can read \
                 it\n{ADVICE}"
            ));
        }
    }
    None
}

/// A URL with `user:password@`.
fn has_password(arg: &str) -> bool {
    let authority =
        arg.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let userinfo = authority.and_then(|authority| authority.rsplit_once('@'));
    userinfo.is_some_and(|(userinfo, _)| userinfo.contains(':'))
}

/// Without hyphens in front, in lower case, with hyphens inside.
fn plain(name: &str) -> String {
    name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-")
}

fn is_secret(plain: &str) -> bool {
    let squeezed = plain.replace('-', "");
    squeezed.contains("clientsecret")
        || ["secret", "password", "accesstoken", "bearertoken", "apikey"].contains(&squeezed.as_str())
}

fn is_command(arg: &str) -> bool {
    super::args::COMMANDS.contains(&arg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> Option<String> {
        let args: Vec<_> =
            std::iter::once("airbyte-proxy").chain(line.split(' ')).map(OsString::from).collect();
        secret_on_command_line(&args)
    }

    #[test]
    fn every_form_of_a_secret_is_refused_without_repeating_it() {
        for line in [
            "--client-secret hunter2",
            "--client-secret=hunter2",
            "--client_secret=hunter2",
            "serve --clientSecret hunter2",
            "-client-secret hunter2",
            "--credentials-client-secret=hunter2",
            "--client-secret-stdin=hunter2",
            "--client-secret-stdin hunter2",
            "--secret=hunter2",
            "--upstream-proxy http://me:hunter2@proxy:3128",
            "--upstream-proxy=http://me:hunter2@proxy:3128/",
        ] {
            let told = refused(line).expect(line);
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn ordinary_lines_are_not() {
        for line in [
            "--client-id x --client-secret-stdin",
            "--client-secret-stdin serve",
            "--client-secret-stdin --listen 1",
            "--client-secret-file /x",
            "--client-secret-file=/x",
            "demo --token-lifetime 30s",
            "--token-url https://x",
            "--upstream-proxy http://me@proxy:3128",
        ] {
            assert_eq!(refused(line), None, "{line}");
        }
    }
}
