//! What the chart promises, and neither schemas nor other people's policies
//! know: that pods have the time to drain, that no probe restarts them for
//! somebody else's fault, that whatever is referred to is there.

use serde_json::Value;

use super::Findings;
use super::release::{Pods, Release, hook, id, is, list, name, strings};

mod references;
#[cfg(test)]
mod tests;

/// Marks secrets in sets of values.
const SECRET: &str = "not-a-secret";
/// All that Socket.IO's long-polling needs, and nothing but it, may be sticky.
const POLLING: &str = "/socket.io/";

/// Everything that a release does not keep.
pub fn broken(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let mut add = |of: &str, found: Findings| {
        findings.extend(found.into_iter().map(|finding| format!("{}: {of}: {finding}", release.name)));
    };
    for pods in release.pods() {
        add(&pods.owner, restricted(&pods));
        add(&pods.owner, sized(&pods));
        if let Some(server) = pods.server() {
            add(&pods.owner, probed(server));
            add(&pods.owner, drained(release, &pods, server));
        }
    }
    for document in &release.documents {
        add(&id(document), labelled(document));
        add(&id(document), secret_free(document));
    }
    add("autoscaling", scaled_once(release));
    add("stickiness", sticky_for_polling_only(release));
    add("references", references::missing(release));
    add("notes", noted(release));
    findings
}

/// The restricted profile of the Pod Security Standards, and some more.
fn restricted(pods: &Pods) -> Findings {
    let mut findings = Findings::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    let spec = pods.spec;
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        must(spec[shared] != true, "shares namespaces of its node");
    }
    must(spec["automountServiceAccountToken"] == false, "gets a token of the API");
    // Kubernetes would add CARILLON_... variables for services of that name.
    must(spec["enableServiceLinks"] == false, "gets variables for services");
    must(spec["securityContext"]["runAsNonRoot"] == true, "may run as root");
    must(spec["securityContext"]["runAsUser"] != 0, "runs as root");
    must(spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "has no seccomp profile");
    for volume in list(&spec["volumes"]) {
        let kinds = ["configMap", "secret", "emptyDir", "projected", "downwardAPI", "persistentVolumeClaim"];
        must(
            kinds.iter().any(|kind| volume.get(kind).is_some()),
            "has a volume of a kind that is not allowed",
        );
    }
    for container in pods.containers() {
        let security = &container["securityContext"];
        must(security["allowPrivilegeEscalation"] == false, "may gain privileges");
        must(security["privileged"] != true, "is privileged");
        must(security["readOnlyRootFilesystem"] == true, "may write to its file system");
        must(security["capabilities"]["drop"] == serde_json::json!(["ALL"]), "keeps capabilities");
        must(security["capabilities"].get("add").is_none(), "adds capabilities");
    }
    findings
}

/// Requests, a limit of memory, and images that say which they are.
fn sized(pods: &Pods) -> Findings {
    let mut findings = Findings::new();
    for container in pods.containers() {
        let resources = &container["resources"];
        for (kind, what) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
            if !resources[kind][what].is_string() {
                findings.push(format!("has no {kind} of {what}"));
            }
        }
        let image = container["image"].as_str().unwrap_or_default();
        let tag = image.rsplit('/').next().and_then(|last| last.split_once(['@', ':']));
        if tag.is_none_or(|(_, tag)| tag.is_empty() || tag == "latest") {
            findings.push(format!("has an image that may be any: {image}"));
        }
    }
    findings
}

/// A dependency that is away makes a process unready at most.
fn probed(server: &Value) -> Findings {
    let mut findings = Findings::new();
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let asks = &server[probe]["httpGet"];
        if asks["path"] != path || asks["port"] != "admin" {
            findings.push(format!("{probe} is not {path} at the admin port"));
        }
    }
    if server.get("startupProbe").is_some_and(|probe| probe["httpGet"]["path"] != "/livez") {
        findings.push("startupProbe waits for others".to_owned());
    }
    findings
}

/// A rolling restart loses nothing: the time to stop is longer than the whole
/// drain, and no pod goes before another one is there.
fn drained(release: &Release, pods: &Pods, server: &Value) -> Findings {
    let mut findings = Findings::new();
    let settings = list(&server["envFrom"]).iter().filter_map(|from| from["configMapRef"]["name"].as_str());
    let settings: Vec<_> = settings.filter_map(|name| release.find("ConfigMap", name)).collect();
    let seconds = |variable: &str| {
        let value = settings.iter().find_map(|map| map["data"][variable].as_str());
        value.and_then(|value| value.strip_suffix('s')?.parse::<u64>().ok())
    };
    let grace = pods.spec["terminationGracePeriodSeconds"].as_u64();
    match (seconds("CARILLON_DRAIN_DELAY"), seconds("CARILLON_STOP_TIMEOUT"), grace) {
        (Some(delay), Some(timeout), Some(grace)) => {
            if grace <= delay + timeout {
                findings.push(format!("is killed after {grace} s, within a drain of {delay} + {timeout} s"));
            }
            if seconds("CARILLON_DRAIN_SPREAD").is_some_and(|spread| spread >= timeout) {
                findings.push(format!("is cut off after {timeout} s, before all clients are sent elsewhere"));
            }
        }
        _ => findings.push("does not say how long a drain takes".to_owned()),
    }
    if is(pods.document, "Deployment")
        && pods.document["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0
    {
        findings.push("is taken away before another one is there".to_owned());
    }
    findings
}

/// Whoever is scaled by somebody is so by one alone, and does not fight it.
fn scaled_once(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let scalers =
        || ["HorizontalPodAutoscaler", "ScaledObject"].into_iter().flat_map(|kind| release.of_kind(kind));
    for deployment in release.of_kind("Deployment") {
        let of_this = scalers().filter(|scaler| scaler["spec"]["scaleTargetRef"]["name"] == name(deployment));
        let (count, fixed) = (of_this.count(), deployment["spec"].get("replicas").is_some());
        if count > 1 {
            findings.push(format!("{} is scaled by {count}", id(deployment)));
        }
        if (count > 0) == fixed {
            findings
                .push(format!("{} has {count} scalers, and a number of replicas: {fixed}", id(deployment)));
        }
    }
    for scaler in scalers() {
        let target = scaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap_or_default();
        if release.find("Deployment", target).is_none() {
            findings.push(format!("{} scales {target}, which is not there", id(scaler)));
        }
    }
    findings
}

/// No stickiness unless it is asked for, and then for long-polling alone.
fn sticky_for_polling_only(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let asked = release.values["stickyPolling"]["enabled"] == true;
    let mut found = false;
    let mut sticky = |what: String, is_polling: bool| {
        found = true;
        if !asked || !is_polling {
            findings.push(format!("{what} is sticky"));
        }
    };
    for document in &release.documents {
        let annotations = document["metadata"]["annotations"].as_object();
        let told = annotations.into_iter().flatten().any(|(key, _)| {
            ["affinity", "sticky", "session-cookie", "cookie-persistence"]
                .iter()
                .any(|part| key.contains(part))
        });
        if is(document, "Ingress") && told {
            let paths = list(&document["spec"]["rules"]).iter().flat_map(|rule| list(&rule["http"]["paths"]));
            sticky(id(document), paths.into_iter().all(|path| path["path"] == POLLING));
        }
        if is(document, "Service") {
            let affinity = document["spec"].get("sessionAffinity").is_some_and(|kind| kind != "None");
            if told || affinity {
                sticky(id(document), name(document).ends_with("-polling"));
            }
        }
        for rule in list(&document["spec"]["rules"]) {
            if rule.get("sessionPersistence").is_some() {
                let polling = list(&rule["matches"]).iter().all(|part| part["path"]["value"] == POLLING);
                sticky(id(document), polling);
            }
        }
    }
    if asked && !found {
        findings.push("is asked for, and nothing has it".to_owned());
    }
    findings
}

/// What every object of the chart is called and can be found by.
fn labelled(document: &Value) -> Findings {
    let mut findings = Findings::new();
    for label in ["name", "instance", "version", "managed-by"] {
        if !document["metadata"]["labels"][format!("app.kubernetes.io/{label}")].is_string() {
            findings.push(format!("has no label {label}"));
        }
    }
    if name(document).is_empty() || name(document).len() > 63 {
        findings.push("has a name that does not fit everywhere".to_owned());
    }
    findings
}

/// Secrets stand in Secrets.
fn secret_free(document: &Value) -> Findings {
    let tells = !is(document, "Secret") && strings(document).iter().any(|text| text.contains(SECRET));
    if tells { vec!["tells a secret".to_owned()] } else { Findings::new() }
}

/// The first commands are of things that are there.
fn noted(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let kinds = [
        ("deployment/", "Deployment"),
        ("statefulset/", "StatefulSet"),
        ("service/", "Service"),
        ("job/", "Job"),
    ];
    let mut named = 0;
    for word in release.notes.split(|c: char| c.is_whitespace() || "()\"`,".contains(c)) {
        for (prefix, kind) in kinds {
            let Some(name) = word.strip_prefix(prefix) else { continue };
            named += 1;
            if release.find(kind, name).is_none() {
                findings.push(format!("name {word}, which is not there"));
            }
        }
    }
    if named == 0 {
        findings.push("say nothing to begin with".to_owned());
    }
    if release.of_kind("Job").any(|job| hook(job) == Some("test")) && !release.notes.contains("helm test ") {
        findings.push("do not say how to start the load test".to_owned());
    }
    findings
}
