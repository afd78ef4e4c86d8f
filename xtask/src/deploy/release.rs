//! What a chart rendered to, and how to find one's way in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::{Findings, files, read, stem};

/// What one set of values became.
pub struct Release {
    /// Of the file of values.
    pub name: String,
    pub values: Value,
    /// What the chart tells who installs it.
    pub notes: String,
    /// The manifests.
    pub documents: Vec<Value>,
    /// The same by Helm 3.
    helm3: Vec<Value>,
}

/// A template of pods, and what it belongs to.
pub struct Pods<'a> {
    /// As in `Deployment/demo-carillon-gateway`.
    pub owner: String,
    pub document: &'a Value,
    pub labels: &'a Value,
    pub spec: &'a Value,
}

/// Reads what render.py wrote, with the reason of whatever did not render.
pub fn load(folder: &Path) -> anyhow::Result<Vec<(String, anyhow::Result<Release>)>> {
    let one = |file: std::path::PathBuf| {
        let name = stem(&file);
        let result = serde_json::from_str(&read(&file)?).with_context(|| name.clone())?;
        Ok((name.clone(), Release::new(name, &result)))
    };
    files(folder)?.into_iter().map(one).collect()
}

impl Release {
    /// Out of the result of render.py.
    pub fn new(name: String, result: &Value) -> anyhow::Result<Self> {
        if let Some((helm, error)) = result["errors"].as_object().and_then(|errors| errors.iter().next()) {
            bail!("{helm} does not render it: {}", error.as_str().unwrap_or_default());
        }
        let documents =
            |helm: &str| result[helm].as_array().cloned().with_context(|| format!("nothing by {helm}"));
        Ok(Self {
            name,
            values: result["values"].clone(),
            notes: result["notes"].as_str().unwrap_or_default().to_owned(),
            documents: documents("helm4")?,
            helm3: documents("helm3")?,
        })
    }

    /// Where the two Helms do not agree, and documents that are there twice.
    pub fn differences(&self) -> Findings {
        let mut findings = Findings::new();
        let mut index = |documents: &[Value]| -> BTreeMap<String, Value> {
            let mut found = BTreeMap::new();
            for document in documents {
                let mut document = document.clone();
                // Passwords, made anew each time.
                if is(&document, "Secret") && name(&document).ends_with("-development") {
                    document["stringData"] = Value::Null;
                }
                if found.insert(id(&document), document.clone()).is_some() {
                    findings.push(format!("{}: {} is there twice", self.name, id(&document)));
                }
            }
            found
        };
        let (four, three) = (index(&self.documents), index(&self.helm3));
        let ids: BTreeSet<_> = four.keys().chain(three.keys()).collect();
        let differ = ids.into_iter().filter(|id| four.get(*id) != three.get(*id));
        findings.extend(differ.map(|id| format!("{}: the Helms differ in {id}", self.name)));
        findings
    }

    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.documents.iter().filter(move |document| is(document, kind))
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.documents.iter().find(|document| is(document, kind) && self::name(document) == name)
    }

    /// Everything that makes pods.
    pub fn pods(&self) -> Vec<Pods<'_>> {
        let makes_pods = |document: &&Value| document["spec"]["template"]["spec"].is_object();
        let pods = self.documents.iter().filter(makes_pods).map(|document| {
            let template = &document["spec"]["template"];
            Pods {
                owner: id(document),
                document,
                labels: &template["metadata"]["labels"],
                spec: &template["spec"],
            }
        });
        pods.collect()
    }
}

impl<'a> Pods<'a> {
    /// With those that run first.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers"].into_iter().flat_map(move |field| list(&spec[field]))
    }

    /// The container that is a server of Carillon's.
    pub fn server(&self) -> Option<&'a Value> {
        let is_server = |container: &&Value| {
            matches!(container["args"][0].as_str(), Some("gateway" | "dispatcher" | "standalone"))
        };
        list(&self.spec["containers"]).iter().find(is_server)
    }

    /// Whether a selector (of labels, or of a whole LabelSelector) means these.
    pub fn are_selected_by(&self, selector: &Value) -> bool {
        let labels = match selector.get("matchLabels") {
            Some(labels) => labels,
            None if selector.get("matchExpressions").is_some() => &Value::Null,
            None => selector,
        };
        let mut wanted = labels.as_object().into_iter().flatten();
        let mut expressions = list(&selector["matchExpressions"]).iter();
        wanted.all(|(key, value)| self.labels.get(key) == Some(value))
            && expressions.all(|expression| {
                let label = &self.labels[expression["key"].as_str().unwrap_or_default()];
                expression["operator"] == "In" && list(&expression["values"]).contains(label)
            })
    }

    pub fn has_port(&self, port: &Value) -> bool {
        let ports = list(&self.spec["containers"]).iter().flat_map(|container| list(&container["ports"]));
        ports.into_iter().any(|known| known["name"] == *port || known["containerPort"] == *port)
    }
}

/// What `kind/name` a document is.
pub fn id(document: &Value) -> String {
    format!("{}/{}", document["kind"].as_str().unwrap_or("?"), name(document))
}

pub fn is(document: &Value, kind: &str) -> bool {
    document["kind"] == kind
}

pub fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().unwrap_or_default()
}

/// The moment at which Helm makes this, if it is not part of the release.
pub fn hook(document: &Value) -> Option<&str> {
    document["metadata"]["annotations"]["helm.sh/hook"].as_str()
}

/// The elements of a list that may not be there.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every string in it, at any depth.
pub fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts.iter().flat_map(strings).collect(),
        Value::Object(parts) => parts.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}
