//! A release that keeps every promise, and what is said when one is broken.

use serde_json::json;

use super::*;

/// A small release with everything in order.
fn good() -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "carillon", "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/version": "1", "app.kubernetes.io/managed-by": "Helm",
    });
    let meta = |name: &str| json!({"name": name, "labels": labels});
    let documents = json!([
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("g"), "spec": {
            "replicas": 2,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "serviceAccountName": "s",
                "terminationGracePeriodSeconds": 65,
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "image": "registry:5000/carillon:1",
                    "args": ["gateway"],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "envFrom": [{"configMapRef": {"name": "c"}}],
                    "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "k", "key": "jwt"}}}],
                    "livenessProbe": {"httpGet": {"path": "/livez", "port": "admin"}},
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "admin"}},
                    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            }},
        }},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("c"), "data": {
            "CARILLON_DRAIN_DELAY": "10s", "CARILLON_STOP_TIMEOUT": "45s", "CARILLON_DRAIN_SPREAD": "30s",
        }},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta("k"), "stringData": {"jwt": "not-a-secret"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("s")},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta("w"), "spec": {
            "selector": {"app.kubernetes.io/name": "carillon"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        }},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta("i"), "spec": {"rules": [
            {"http": {"paths": [{"path": "/", "backend": {"service": {"name": "w", "port": {"name": "http"}}}}]}},
        ]}},
    ]);
    json!({
        "values": {}, "errors": {}, "helm3": [], "helm4": documents,
        "notes": "kubectl rollout status deployment/g",
    })
}

/// What is said of the good release after `pointer` was set to `value`, or
/// taken away for null.
fn after(pointer: &str, value: Value) -> Findings {
    let mut result = good();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = result.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}"));
    match parent {
        Value::Array(items) if field == "-" => items.push(value),
        Value::Array(items) => {
            items.remove(field.parse().unwrap());
        }
        Value::Object(fields) if value.is_null() => drop(fields.remove(field)),
        other => other[field.replace('~', "/")] = value,
    }
    broken(&Release::new("case".to_owned(), &result).unwrap())
}

#[test]
fn a_release_in_order_breaks_nothing() {
    assert_eq!(after("/values", json!({})), Findings::new());
}

#[test]
fn every_broken_promise_is_named() {
    const PODS: &str = "/helm4/0/spec/template/spec";
    let container = format!("{PODS}/containers/0");
    let hpa = |name: &str| json!({"kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {"scaleTargetRef": {"name": name}}});
    let cases = [
        (format!("{PODS}/hostNetwork"), json!(true), "namespaces of its node"),
        (format!("{PODS}/automountServiceAccountToken"), json!(null), "token of the API"),
        (format!("{PODS}/securityContext/runAsNonRoot"), json!(false), "may run as root"),
        (format!("{PODS}/volumes"), json!([{"name": "x", "hostPath": {"path": "/"}}]), "not allowed"),
        (format!("{container}/securityContext/capabilities"), json!({}), "keeps capabilities"),
        (
            format!("{container}/securityContext/readOnlyRootFilesystem"),
            json!(false),
            "write to its file system",
        ),
        (format!("{container}/resources/limits"), json!(null), "no limits of memory"),
        (format!("{container}/image"), json!("registry:5000/carillon"), "may be any"),
        (format!("{container}/image"), json!("carillon:latest"), "may be any"),
        (format!("{container}/livenessProbe/httpGet/path"), json!("/readyz"), "livenessProbe is not /livez"),
        (format!("{container}/readinessProbe"), json!(null), "readinessProbe is not /readyz"),
        (format!("{PODS}/terminationGracePeriodSeconds"), json!(55), "is killed after 55 s"),
        ("/helm4/1/data/CARILLON_DRAIN_SPREAD".to_owned(), json!("45s"), "before all clients"),
        ("/helm4/1/data/CARILLON_STOP_TIMEOUT".to_owned(), json!(null), "how long a drain takes"),
        ("/helm4/0/spec/strategy/rollingUpdate/maxUnavailable".to_owned(), json!(1), "taken away before"),
        ("/helm4/-".to_owned(), hpa("g"), "1 scalers, and a number of replicas"),
        ("/helm4/-".to_owned(), hpa("x"), "scales x, which is not there"),
        ("/helm4/4/spec/sessionAffinity".to_owned(), json!("ClientIP"), "Service/w is sticky"),
        ("/helm4/5/metadata/annotations".to_owned(), json!({"x/affinity": "cookie"}), "Ingress/i is sticky"),
        ("/values/stickyPolling".to_owned(), json!({"enabled": true}), "nothing has it"),
        ("/helm4/1/metadata/labels".to_owned(), json!({}), "has no label"),
        ("/helm4/1/data/URL".to_owned(), json!("nats://not-a-secret@host"), "tells a secret"),
        ("/helm4/3".to_owned(), json!(null), "needs ServiceAccount/s"),
        ("/helm4/2/stringData".to_owned(), json!({"other": ""}), "needs Secret/k with jwt"),
        (
            "/helm4/0/metadata/annotations".to_owned(),
            json!({"helm.sh/hook": "pre-install"}),
            "needs ConfigMap/c",
        ),
        ("/helm4/4/spec/selector".to_owned(), json!({"app.kubernetes.io/name": "x"}), "means no pod"),
        ("/helm4/4/spec/ports/0/targetPort".to_owned(), json!("admin"), "without a port"),
        ("/helm4/4/spec/ports/0/name".to_owned(), json!("web"), "leads to"),
        ("/values/networkPolicy".to_owned(), json!({"enabled": true}), "no policy is about"),
        ("/notes".to_owned(), json!("kubectl logs deployment/x"), "deployment/x, which is not there"),
        ("/notes".to_owned(), json!("Have fun."), "nothing to begin with"),
    ];
    for (pointer, value, expected) in cases {
        let findings = after(&pointer, value);
        assert!(
            findings.iter().any(|finding| finding.contains(expected)),
            "{pointer}: {expected} is not among {findings:?}"
        );
    }
}

#[test]
fn two_scalers_are_one_too_many() {
    let mut result = good();
    let documents = result["helm4"].as_array_mut().unwrap();
    for kind in ["HorizontalPodAutoscaler", "ScaledObject"] {
        documents.push(json!({"kind": kind, "spec": {"scaleTargetRef": {"name": "g"}}}));
    }
    let findings = broken(&Release::new("case".to_owned(), &result).unwrap());
    assert!(findings.iter().any(|finding| finding.contains("is scaled by 2")), "{findings:?}");
}

#[test]
fn what_does_not_render_is_no_release() {
    let mut result = good();
    result["errors"] = json!({"helm3": "mode is unknown"});
    let error = Release::new("case".to_owned(), &result).err().unwrap();
    assert!(error.to_string().contains("mode is unknown"));
}

#[test]
fn the_helms_have_to_agree() {
    let mut result = good();
    result["helm3"] = result["helm4"].clone();
    let differences = |result: &Value| Release::new("case".to_owned(), result).unwrap().differences();
    assert_eq!(differences(&result), Findings::new());
    result["helm3"][1]["data"]["CARILLON_DRAIN_DELAY"] = json!("11s");
    assert_eq!(differences(&result).len(), 1);
}
