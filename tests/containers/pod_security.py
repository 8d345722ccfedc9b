"""The Pod Security Standard "restricted", rule by rule, as Kubernetes' documentation lists it.

`broken_rules(pod)` names what a pod's specification breaks. Every rule comes with a change that breaks it, so that
`self_test` can see each of them fail.
"""

import copy

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {"", None, "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
APPARMOR_TYPES = {None, "RuntimeDefault", "Localhost"}
SECCOMP_TYPES = {"RuntimeDefault", "Localhost"}


def containers(pod):
    return [c for kind in ("initContainers", "containers", "ephemeralContainers") for c in pod.get(kind) or []]


def contexts(pod):
    """The security contexts of the pod and of its containers."""
    return [pod.get("securityContext") or {}] + [c.get("securityContext") or {} for c in containers(pod)]


def every(pod, right):
    """Whether `right` holds for the security context of each container."""
    return all(right(context) for context in contexts(pod)[1:])


def inherited(pod, name, right):
    """Whether each container's `name`, or the pod's where a container has none, is right."""
    of_pod = contexts(pod)[0].get(name)
    return every(pod, lambda context: right(context.get(name, of_pod)))


def handlers(pod):
    """What the kubelet does to a container: its probes and the hooks of its life."""
    for container in containers(pod):
        hooks = container.get("lifecycle") or {}
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            yield container.get(name) or {}
        yield from (hook or {} for hook in (hooks.get("postStart"), hooks.get("preStop")))


def no_host_in_handlers(pod):
    named = [h.get(kind) or {} for h in handlers(pod) for kind in ("httpGet", "tcpSocket")]
    return not any(handler.get("host") for handler in named)


def capabilities(name):
    return lambda context: set((context.get("capabilities") or {}).get(name) or [])


def selinux(context):
    options = context.get("seLinuxOptions") or {}
    return options.get("type") in SELINUX_TYPES and not options.get("user") and not options.get("role")


def volume_types(pod):
    return {kind for volume in pod.get("volumes") or [] for kind in volume if kind != "name"}


def first(pod, **changes):
    """Changes the security context of the first container."""
    containers(pod)[0].setdefault("securityContext", {}).update(changes)


def everywhere(pod, **changes):
    pod.setdefault("securityContext", {}).update(changes)
    for container in containers(pod):
        container.setdefault("securityContext", {}).update(changes)


def add_volume(pod, **volume):
    pod.setdefault("volumes", []).append({"name": "x", **volume})


# What it is called, whether a pod keeps it, and a change of a good pod that breaks it.
RULES = [
    # Baseline, which restricted includes.
    ("HostProcess", lambda p: not any((c.get("windowsOptions") or {}).get("hostProcess") for c in contexts(p)),
     lambda p: first(p, windowsOptions={"hostProcess": True})),
    ("Host Namespaces", lambda p: not any(p.get(n) for n in ("hostNetwork", "hostPID", "hostIPC")),
     lambda p: p.update(hostPID=True)),
    ("Privileged Containers", lambda p: every(p, lambda c: not c.get("privileged")),
     lambda p: first(p, privileged=True)),
    ("HostPath Volumes", lambda p: "hostPath" not in volume_types(p),
     lambda p: add_volume(p, hostPath={"path": "/"})),
    ("Host Ports", lambda p: not any(port.get("hostPort") for c in containers(p) for port in c.get("ports") or []),
     lambda p: containers(p)[0].update(ports=[{"containerPort": 1, "hostPort": 1}])),
    ("Host Probes and Lifecycle Hooks", no_host_in_handlers,
     lambda p: containers(p)[0].update(livenessProbe={"httpGet": {"host": "127.0.0.1", "port": 1}})),
    ("AppArmor", lambda p: all((c.get("appArmorProfile") or {}).get("type") in APPARMOR_TYPES for c in contexts(p)),
     lambda p: first(p, appArmorProfile={"type": "Unconfined"})),
    ("SELinux", lambda p: all(selinux(c) for c in contexts(p)),
     lambda p: first(p, seLinuxOptions={"role": "system_r"})),
    ("/proc Mount Type", lambda p: every(p, lambda c: c.get("procMount") in (None, "Default")),
     lambda p: first(p, procMount="Unmasked")),
    ("Sysctls", lambda p: {s["name"] for s in contexts(p)[0].get("sysctls") or []} <= SAFE_SYSCTLS,
     lambda p: p.setdefault("securityContext", {}).update(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    # Restricted itself.
    ("Volume Types", lambda p: volume_types(p) <= VOLUMES,
     lambda p: add_volume(p, nfs={"server": "x", "path": "/"})),
    ("Privilege Escalation", lambda p: every(p, lambda c: c.get("allowPrivilegeEscalation") is False),
     lambda p: containers(p)[0]["securityContext"].pop("allowPrivilegeEscalation")),
    ("Running as Non-root", lambda p: inherited(p, "runAsNonRoot", lambda value: value is True),
     lambda p: first(p, runAsNonRoot=False)),
    ("Running as Non-root user", lambda p: all(c.get("runAsUser") != 0 for c in contexts(p)),
     lambda p: first(p, runAsUser=0)),
    ("Seccomp", lambda p: inherited(p, "seccompProfile", lambda value: (value or {}).get("type") in SECCOMP_TYPES),
     lambda p: everywhere(p, seccompProfile={"type": "Unconfined"})),
    ("Capabilities dropped", lambda p: every(p, lambda c: "ALL" in capabilities("drop")(c)),
     lambda p: first(p, capabilities={"drop": ["NET_RAW"]})),
    ("Capabilities added", lambda p: every(p, lambda c: capabilities("add")(c) <= {"NET_BIND_SERVICE"}),
     lambda p: first(p, capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]})),
]


def broken_rules(pod):
    return [name for name, keeps, _ in RULES if not keeps(pod)]


def self_test(good):
    """Breaks each rule in a copy of a good pod, and expects it to be named."""
    assert not broken_rules(good)
    for name, _, breaks in RULES:
        pod = copy.deepcopy(good)
        breaks(pod)
        assert name in broken_rules(pod), f"{name} is not noticed"
