//! Which role this process has, and a whole run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::modes;
use crate::options::{self, Options};
use crate::proxies::{KINDS, Kind, Proxy, find};
use crate::stage::{Bench, describe, memory};
use crate::{Result, authority, bare, load, system, upstream};

pub(crate) fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let plan = arguments.next().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match role.as_str() {
            upstream::ROLE => upstream::run(serde_json::from_str(&plan)?).await,
            load::ROLE => load::run(serde_json::from_str(&plan)?).await,
            bare::ROLE => bare::run(serde_json::from_str(&plan)?).await,
            modes::BARE_ROLE => modes::bare().await,
            _ => whole().await,
        }
    })
}

/// Everything that was asked for. Told to stop, it ends what it has started and leaves.
async fn whole() -> Result<()> {
    let bench = prepare(options::parse()?)?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        report = report(&bench) => {
            let report = report?;
            println!("{report}");
            if let Some(path) = &bench.options.out {
                std::fs::write(path, &report)?;
            }
            Ok(())
        }
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminated.recv() => Err("told to end".into()),
    }
}

async fn report(bench: &Bench) -> Result<String> {
    let mut parts = vec![describe(bench)];
    for (mode, _) in options::MODES {
        if bench.options.mode == mode || bench.options.mode == "all" {
            let tables = Box::pin(modes::run(mode, bench)).await?;
            parts.extend(tables.iter().map(crate::report::Table::markdown));
        }
    }
    Ok(parts.join("\n"))
}

fn prepare(options: Options) -> Result<Bench> {
    let files = system::raise_file_limit();
    let ours = options.binaries.iter().map(|which| binary(which)).collect::<Result<Vec<_>>>()?;
    let wanted = |kind: &Kind| match &options.proxies {
        none if none.is_empty() => *kind != Kind::Bare || options.mode == "table",
        some => some.iter().any(|word| word == kind.word()),
    };
    let mut proxies = Vec::new();
    for kind in KINDS.into_iter().filter(wanted) {
        let programs = match kind {
            Kind::Ours => ours.clone(),
            Kind::Bare => vec![env::current_exe()?],
            _ => find(kind.word()).into_iter().collect(),
        };
        if programs.is_empty() {
            eprintln!("{}: not on PATH, left out", kind.word());
        }
        let builds = programs.len();
        for (number, program) in programs.into_iter().enumerate() {
            match Proxy::new(kind, program) {
                Ok(mut proxy) => {
                    if builds > 1 {
                        proxy.name = format!("{} (build {})", proxy.name, number + 1);
                    }
                    proxies.push(proxy);
                }
                Err(error) => eprintln!("{}: {error}; left out", kind.word()),
            }
        }
    }
    let folder = TempDir::with_prefix_in("peers-", memory())?;
    authority::make(folder.path())?;
    Ok(Bench { options, proxies, folder, cores: system::cores(), files })
}

/// Builds it with the profile named, unless it is one that is there.
fn binary(which: &str) -> Result<PathBuf> {
    if !["dist", "release", "dev"].contains(&which) {
        return Ok(std::fs::canonicalize(which).map_err(|error| format!("{which}: {error}"))?);
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--bin", "airbyte-proxy", "--profile", which]);
    command.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(manifest);
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("airbyte-proxy was not built".into());
    }
    // Where it is depends on CARGO_TARGET_DIR and the like; cargo says it.
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executable.ok_or_else(|| "cargo did not say where airbyte-proxy is".into())
}
