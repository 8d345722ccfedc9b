//! Networks that nobody else has, and verbs to run something inside them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use airbyte_proxy::demo::{Options, Simulator};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::harness::process::{Ended, Start, airbyte, wrapped};

/// Airbyte's own address on every network here, and its port.
pub(super) const AIRBYTE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 88, 0, 1)), 8001);

/// A network with nothing but its own loopback. Dropping it ends it; its cables go with it.
pub(super) struct Network {
    name: String,
}

/// Whether networks can be made here. Says so if not.
pub(super) fn possible() -> bool {
    let can =
        rustix::process::geteuid().is_root() && Path::new("/bin/ip").exists() && Network::try_new().is_some();
    if !can {
        println!("left out: network namespaces need root, and iproute2");
    }
    can
}

fn ip(arguments: &str) -> Output {
    Command::new("/bin/ip").args(arguments.split(' ')).output().expect("ip")
}

fn ip_must(arguments: &str) {
    let done = ip(arguments);
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Network {
    fn try_new() -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("apx-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        if !ip(&format!("netns add {name}")).status.success() {
            return None;
        }
        let network = Self { name };
        ip(&format!("-n {} link set lo up", network.name)).status.success().then_some(network)
    }

    pub(super) fn new() -> Self {
        Self::try_new().expect("a network")
    }

    fn file(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `what` on a thread that is inside. What it opens there stays there, wherever it is used afterwards.
    pub(super) fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.file()).expect("the network");
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("inside");
                what()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The simulated Airbyte, at [`AIRBYTE`]. It runs on the runtime of the test; only its listener is inside.
    pub(super) fn airbyte(&self, options: Options) -> Simulator {
        let runtime = tokio::runtime::Handle::current();
        self.inside(move || {
            let _entered = runtime.enter();
            airbyte(Options { listen: AIRBYTE, ..options })
        })
    }

    /// `airbyte-proxy` inside, with `arguments`.
    pub(super) fn airbyte_proxy(&self, arguments: &str) -> Start {
        let network = format!("--net={}", self.file());
        wrapped(&["nsenter", &network], arguments)
    }

    /// The proxy as its manifests start it, beside an application: in front of `airbyte`, with its credentials.
    pub(super) fn proxy(&self, airbyte: &Simulator) -> Start {
        let start = self.airbyte_proxy("serve").upstream(airbyte).credentials(&airbyte.credentials());
        start.env("AIRBYTE_PROXY_UPSTREAM_ALLOW_HTTP", "true").env("AIRBYTE_PROXY_WORKERS", "1")
    }

    /// An application inside: a shell that runs `script`.
    pub(super) fn application(&self, script: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("nsenter");
        command.arg(format!("--net={}", self.file())).args(["sh", "-c", script]).kill_on_drop(true);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("AIRBYTE_API_URL", "http://localhost:8484/v1");
        command
    }

    /// Runs it to its end.
    pub(super) async fn run(&self, script: &str) -> Ended {
        let output = crate::harness::talk::soon(self.application(script).output()).await.expect("a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// What curl says of `path` of the proxy beside it: the status, and the body.
    pub(super) async fn curl(&self, path: &str) -> (u16, String) {
        let script = format!(
            "curl --silent --max-time 20 --write-out '\\n%{{http_code}}' http://localhost:8484{path}"
        );
        let said = self.run(&script).await.stdout;
        let (body, status) = said.rsplit_once('\n').unwrap_or_default();
        (status.parse().unwrap_or_default(), body.to_owned())
    }

    /// Pulls the cable out, or puts it back.
    pub(super) fn cable(&self, state: &str) {
        ip_must(&format!("-n {} link set eth0 {state}", self.name));
    }

    /// Asks the proxy inside how it is, and gives the exit code.
    pub(super) async fn asks(&self, question: &str) -> Option<i32> {
        self.airbyte_proxy(question).run().await.code
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Nobody else has it; the system ends it with the last process inside.
        ip(&format!("netns delete {}", self.name));
    }
}

/// Networks with a cable each to one switch, of their own addresses: `10.88.0.1` the first, `10.88.0.2` the second.
pub(super) struct Cluster {
    pub(super) networks: Vec<Network>,
    _switch: Network,
}

impl Cluster {
    pub(super) fn new(size: usize) -> Self {
        let switch = Network::new();
        ip_must(&format!("-n {} link add bridge type bridge", switch.name));
        ip_must(&format!("-n {} link set bridge up", switch.name));
        let networks: Vec<_> = (1..=size).map(|number| plugged_in(&switch, number)).collect();
        Self { networks, _switch: switch }
    }
}

fn plugged_in(switch: &Network, number: usize) -> Network {
    let network = Network::new();
    let (name, port) = (&network.name, format!("port{number}"));
    // Made where it ends, so that no name of it is ever seen outside.
    ip_must(&format!("-n {} link add {port} type veth peer name eth0 netns {name}", switch.name));
    ip_must(&format!("-n {} link set {port} master bridge up", switch.name));
    ip_must(&format!("-n {name} address add 10.88.0.{number}/24 dev eth0"));
    ip_must(&format!("-n {name} link set eth0 up"));
    network
}

/// Airbyte's network, and that of a pod.
pub(super) fn two() -> (Cluster, Simulator) {
    let cluster = Cluster::new(2);
    let airbyte = cluster.networks[0].airbyte(Options::default());
    (cluster, airbyte)
}
