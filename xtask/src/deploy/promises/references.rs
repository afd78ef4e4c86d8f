//! Whatever a document refers to is part of the release, or of the values,
//! which name what is there already.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::Findings;
use super::super::release::{Pods, Release, hook, id, list, strings};

/// All references to nothing.
pub fn missing(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let known: BTreeSet<&str> = strings(&release.values).into_iter().collect();
    for pods in release.pods() {
        for (kind, name, key) in referred_to(&pods) {
            let found = release.find(kind, name).filter(|document| is_there(document, pods.document));
            let has_key = |document: &Value| {
                key.is_none_or(|key| ["data", "stringData"].iter().any(|of| document[of].get(key).is_some()))
            };
            if !known.contains(name) && !found.is_some_and(has_key) {
                let key = key.map_or(String::new(), |key| format!(" with {key}"));
                findings.push(format!("{} needs {kind}/{name}{key}", pods.owner));
            }
        }
    }
    findings.extend(selectors(release));
    findings.extend(routes(release));
    findings
}

/// Hooks before an installation come before everything but each other.
fn is_there(document: &Value, when: &Value) -> bool {
    match hook(when) {
        Some(hooks) if hooks.contains("pre-") => hook(document).is_some(),
        _ => hook(document).is_none(),
    }
}

/// Kind, name and key of what pods need to start.
fn referred_to<'a>(pods: &Pods<'a>) -> Vec<(&'static str, &'a str, Option<&'a str>)> {
    let mut found = Vec::new();
    let mut add = |kind, reference: &'a Value, field: &str| {
        if let Some(name) = reference[field].as_str() {
            found.push((kind, name, reference["key"].as_str()));
        }
    };
    for container in pods.containers() {
        for from in list(&container["envFrom"]) {
            add("ConfigMap", &from["configMapRef"], "name");
            add("Secret", &from["secretRef"], "name");
        }
        for variable in list(&container["env"]) {
            add("Secret", &variable["valueFrom"]["secretKeyRef"], "name");
            add("ConfigMap", &variable["valueFrom"]["configMapKeyRef"], "name");
        }
    }
    for volume in list(&pods.spec["volumes"]) {
        add("ConfigMap", &volume["configMap"], "name");
        add("Secret", &volume["secret"], "secretName");
    }
    for secret in list(&pods.spec["imagePullSecrets"]) {
        add("Secret", secret, "name");
    }
    add("ServiceAccount", pods.spec, "serviceAccountName");
    found
}

/// Selectors that mean no pod, and ports that no pod has.
fn selectors(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let all = release.pods();
    let mut must_mean = |document: &Value, selector: &Value, ports: Vec<&Value>| {
        let meant: Vec<_> = all.iter().filter(|pods| pods.are_selected_by(selector)).collect();
        if meant.is_empty() {
            findings.push(format!("{} means no pod: {selector}", id(document)));
        }
        for port in ports {
            if !meant.iter().all(|pods| pods.has_port(port)) {
                findings.push(format!("{} means pods without a port {port}", id(document)));
            }
        }
    };
    for document in &release.documents {
        let spec = &document["spec"];
        match document["kind"].as_str() {
            Some("Service") => {
                let ports = list(&spec["ports"]).iter().map(|port| &port["targetPort"]);
                must_mean(document, &spec["selector"], ports.collect());
            }
            Some("PodMonitor") => {
                let ports = list(&spec["podMetricsEndpoints"]).iter().map(|endpoint| &endpoint["port"]);
                must_mean(document, &spec["selector"], ports.collect());
            }
            Some("PodDisruptionBudget") => must_mean(document, &spec["selector"], Vec::new()),
            Some("NetworkPolicy") => {
                let rules = list(&spec["ingress"]).iter().flat_map(|rule| list(&rule["ports"]));
                must_mean(document, &spec["podSelector"], rules.map(|rule| &rule["port"]).collect());
                // Peers in this namespace are pods of this release.
                let rules = ["ingress", "egress"].into_iter().flat_map(|way| list(&spec[way]));
                let peers =
                    rules.flat_map(|rule| ["from", "to"].into_iter().flat_map(|way| list(&rule[way])));
                for peer in peers.filter(|peer| peer.get("namespaceSelector").is_none()) {
                    if let Some(selector) = peer.get("podSelector") {
                        must_mean(document, selector, Vec::new());
                    }
                }
            }
            _ => {}
        }
    }
    if release.values["networkPolicy"]["enabled"] == true {
        let policies: Vec<_> =
            release.of_kind("NetworkPolicy").map(|policy| &policy["spec"]["podSelector"]).collect();
        let free = all.iter().filter(|pods| !policies.iter().any(|selector| pods.are_selected_by(selector)));
        findings.extend(free.map(|pods| format!("no policy is about {}", pods.owner)));
    }
    findings
}

/// Ways from outside that lead to no service.
fn routes(release: &Release) -> Findings {
    let mut findings = Findings::new();
    let mut must_lead = |from: &Value, name: &Value, port: &Value| {
        let service = release.find("Service", name.as_str().unwrap_or_default());
        let ports = service.into_iter().flat_map(|service| list(&service["spec"]["ports"]));
        if !ports.into_iter().any(|known| known["port"] == *port || known["name"] == *port) {
            findings.push(format!("{} leads to {name} {port}, which is not there", id(from)));
        }
    };
    for ingress in release.of_kind("Ingress") {
        for path in list(&ingress["spec"]["rules"]).iter().flat_map(|rule| list(&rule["http"]["paths"])) {
            let service = &path["backend"]["service"];
            let port = &service["port"];
            must_lead(ingress, &service["name"], port.get("name").unwrap_or(&port["number"]));
        }
    }
    for route in release.of_kind("HTTPRoute") {
        for backend in list(&route["spec"]["rules"]).iter().flat_map(|rule| list(&rule["backendRefs"])) {
            must_lead(route, &backend["name"], &backend["port"]);
        }
    }
    findings
}
