"""What `kubectl kustomize` makes of config/kubernetes, and config/compose, held against the real schemas and the program.
The commands of docs/kubernetes.md are run, too.

    manifests.py KUBECTL AIRBYTE-PROXY

Needs requirements.txt. Every problem is one line, and the exit code is 1.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

import pod_security

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "config" / "kubernetes"
PAGE = ROOT / "docs" / "kubernetes.md"
COMPOSE = ROOT / "config" / "compose" / "compose.yaml"
# The first with native sidecars by default, and the latest whose schemas there are.
VERSIONS = ("1.29", "1.37")
KINDS = {
    "sidecar": ["Namespace", "Deployment", "NetworkPolicy"],
    "job": ["Namespace", "Job", "NetworkPolicy"],
    "job-quit": ["Namespace", "Job", "NetworkPolicy"],
    "shared": ["Namespace", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy"],
}
PROXY = "airbyte-proxy"


def built(kubectl, folder):
    out = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True, timeout=60)
    return [document for document in yaml.safe_load_all(out.stdout) if document]


def problems_of_schema(document):
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            yield f"schema of {version}: {path}: {error.message}"


def pod_of(document):
    return (document.get("spec") or {}).get("template", {}).get("spec")


def problems_of_pod(pod):
    for rule in pod_security.broken_rules(pod):
        yield f"restricted: {rule}"
    if pod.get("enableServiceLinks") is not False:
        yield "enableServiceLinks is not false"
    if pod.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken is not false"
    volumes = {volume["name"] for volume in pod.get("volumes") or []}
    for container in pod_security.containers(pod):
        name = container["name"]
        if not (container.get("securityContext") or {}).get("readOnlyRootFilesystem"):
            yield f"{name}: its root file system can be written"
        if not {"requests", "limits"} <= set(container.get("resources") or {}):
            yield f"{name}: no requests or no limits"
        if ":" not in container["image"] or container["image"].endswith(":latest"):
            yield f"{name}: an image without a version"
        for mount in container.get("volumeMounts") or []:
            if mount["name"] not in volumes:
                yield f"{name}: there is no volume {mount['name']}"
            if "subPath" in mount:
                yield f"{name}: a subPath is never updated"
        ports = {port["name"] for port in container.get("ports") or []}
        for probe in pod_security.handlers({"containers": [container]}):
            port = (probe.get("httpGet") or {}).get("port")
            if isinstance(port, str) and port not in ports:
                yield f"{name}: a probe of the port {port}, which it has not"
            command = (probe.get("exec") or {}).get("command")
            if command and command[0] != "/usr/local/bin/airbyte-proxy":
                yield f"{name}: a probe by {command[0]}, which the image has not"


def problems_of_references(documents):
    """Selectors that select nothing, and mounted things that are not there."""
    pods = [d for d in documents if pod_of(d)]
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in pods]
    selectors = []
    for document in documents:
        spec = document.get("spec") or {}
        selector = spec.get("podSelector") or spec.get("selector") or {}
        selectors.append((document["kind"], selector.get("matchLabels", selector)))
    for pod in pods:
        for constraint in pod_of(pod).get("topologySpreadConstraints") or []:
            selectors.append(("topologySpreadConstraints", constraint["labelSelector"]["matchLabels"]))
    for kind, selector in selectors:
        if not all(selector.items() <= own.items() for own in labels):
            yield f"{kind}: selects {selector}, but pods have {labels}"
    maps = {d["metadata"]["name"] for d in documents if d["kind"] == "ConfigMap"}
    for volume in (v for pod in pods for v in pod_of(pod).get("volumes") or []):
        name = (volume.get("configMap") or {}).get("name")
        if name and name not in maps:
            yield f"there is no ConfigMap {name}"
    names = {port["name"] for pod in pods for c in pod_security.containers(pod_of(pod)) for port in c.get("ports") or []}
    for service in (d for d in documents if d["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in names:
                yield f"Service: no container has the port {port['targetPort']}"


def fill(folder, volume, documents):
    """What the kubelet would put into a volume."""
    folder.mkdir()
    if "secret" in volume:
        name = volume["secret"]["secretName"]
        files = {"client-id": "some-id", "client-secret": "some-secret"}
        if name.endswith("-keys"):
            files = {"etl": "some-key-of-sixteen-or-more"}
    else:
        name = volume["configMap"]["name"]
        files = next(d["data"] for d in documents if d["metadata"]["name"] == name)
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)


def problems_of_settings(binary, container, mounts):
    """Runs `airbyte-proxy check` with the container's own arguments, variables and files."""
    def moved(text):
        for inside, outside in mounts.items():
            text = text.replace(inside, str(outside))
        return text

    for folder in mounts.values():
        for file in folder.rglob("*.toml"):
            file.write_text(moved(file.read_text()))
    environment = {pair["name"]: moved(pair["value"]) for pair in container.get("env") or []}
    configs = [folder / "config.toml" for folder in mounts.values() if (folder / "config.toml").exists()]
    arguments = ["check" if argument == "serve" else moved(argument) for argument in container.get("args") or ["serve"]]
    if configs:
        # The program finds it by itself at /etc/airbyte-proxy.
        arguments += ["--config", str(configs[0])]
    run = [binary, *arguments]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        yield f"check ends with {done.returncode}: {done.stdout}{done.stderr}"
    for probe in pod_security.handlers({"containers": [container]}):
        command = (probe.get("exec") or {}).get("command")
        if command:
            # Nothing listens here, so it must say that, and not that it does not know what it is told.
            asked = subprocess.run([binary, *command[1:]], env=environment, capture_output=True, text=True, timeout=60)
            if "cannot be reached" not in asked.stderr:
                yield f"{' '.join(command)} says {asked.stderr}"


def problems_of_proxy(binary, documents):
    for pod in filter(None, map(pod_of, documents)):
        for container in (c for c in pod_security.containers(pod) if c["name"] == PROXY):
            with tempfile.TemporaryDirectory() as folder:
                volumes = {volume["name"]: volume for volume in pod.get("volumes") or []}
                mounts = {}
                # A path within another one is replaced before that one.
                for mount in sorted(container["volumeMounts"], key=lambda mount: -len(mount["mountPath"])):
                    mounts[mount["mountPath"]] = pathlib.Path(folder) / mount["name"]
                    fill(mounts[mount["mountPath"]], volumes[mount["name"]], documents)
                yield from problems_of_settings(binary, container, mounts)


def problems_of_compose(binary):
    schema = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    path = {"PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(schema, capture_output=True, text=True, timeout=120, env={**os.environ, **path})
    if done.returncode != 0:
        yield done.stdout + done.stderr
    document = yaml.safe_load(COMPOSE.read_text())
    service = document["services"][PROXY]
    for name in service["secrets"]:
        if name not in document["secrets"]:
            yield f"there is no secret {name}"
    if document["services"]["app"]["network_mode"] != f"service:{PROXY}":
        yield "the application has another network"
    if not service["read_only"] or service["cap_drop"] != ["ALL"]:
        yield "the proxy may do more than it needs"
    with tempfile.TemporaryDirectory() as folder:
        inside = pathlib.Path(folder) / "secrets"
        inside.mkdir()
        for name in service["secrets"]:
            (inside / name).write_text("something")
            (inside / name).chmod(0o600)
        pairs = [{"name": name, "value": value} for name, value in service["environment"].items()]
        probe = {"exec": {"command": service["healthcheck"]["test"][1:]}}
        container = {"env": pairs, "livenessProbe": probe}
        yield from problems_of_settings(binary, container, {"/run/secrets": inside})


def commands_of(page):
    """What stands behind `$` in blocks of a console, and was not marked as not tried."""
    blocks = page.split("```console\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].replace("\\\n", " ").splitlines()]
    return [line[2:] for line in lines if line.startswith("$ ") and not line.endswith("# not tried")]


def problems_of_page(kubectl):
    """Runs the page's commands, one after the other in one folder, but for those that are about an image."""
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        (here / "config").symlink_to(ROOT / "config")
        for name in ("client-id", "client-secret"):
            (here / name).write_text("something")
        programs = here / "programs"
        programs.mkdir()
        (programs / "kubectl").symlink_to(kubectl)
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "KUBECONFIG": os.devnull}
        commands = [c for c in commands_of(PAGE.read_text()) if not c.startswith(("buildah ", "tests/containers/image.sh "))]
        if len(commands) < 8:
            yield f"only {len(commands)} commands"
        for command in commands:
            done = subprocess.run(["sh", "-ec", command], cwd=here, env=environment, capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                yield f"{command}: {done.stdout}{done.stderr}"


def self_test(binary, good):
    """What is checked here can fail."""
    pod_security.self_test(pod_of(good))
    unknown = {"env": [{"name": "AIRBYTE_PROXY_NO_SUCH_KEY", "value": "1"}]}
    assert any("AIRBYTE_PROXY_NO_SUCH_KEY" in told for told in problems_of_settings(binary, unknown, {}))
    wrong = {**good, "spec": {**good["spec"], "replicaz": 1}}
    assert len(list(problems_of_schema(wrong))) == len(VERSIONS)


def main(kubectl, binary):
    binary = str(pathlib.Path(binary).resolve())
    found, folders = [], sorted(p.parent.name for p in MANIFESTS.glob("*/kustomization.yaml"))
    assert folders == sorted(KINDS), f"{folders} are not the folders that are known here"
    for folder, kinds in KINDS.items():
        documents = built(kubectl, str(MANIFESTS / folder))
        told = [] if sorted(d["kind"] for d in documents) == sorted(kinds) else [f"it is not {kinds}"]
        for document in documents:
            told += [f"{document['kind']}: {problem}" for problem in problems_of_schema(document)]
            told += [f"{document['kind']}: {problem}" for pod in [pod_of(document)] if pod for problem in problems_of_pod(pod)]
            level = document["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
            if document["kind"] == "Namespace" and level != "restricted":
                told.append("Namespace: not restricted")
        told += problems_of_references(documents)
        told += problems_of_proxy(binary, documents)
        found += [f"config/kubernetes/{folder}: {problem}" for problem in told]
        print(f"config/kubernetes/{folder}: {len(documents)} documents, {len(told)} problems")
        if folder == "sidecar":
            self_test(binary, next(d for d in documents if d["kind"] == "Deployment"))
    told = list(problems_of_compose(binary))
    print(f"config/compose: {len(told)} problems")
    found += [f"config/compose: {problem}" for problem in told]
    told = list(problems_of_page(str(pathlib.Path(shutil.which(kubectl)).resolve())))
    print(f"{PAGE.relative_to(ROOT)}: {len(told)} commands fail")
    found += [f"{PAGE.relative_to(ROOT)}: {problem}" for problem in told]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
