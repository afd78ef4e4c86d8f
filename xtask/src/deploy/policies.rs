//! What checkov reports, against the list of what is accepted.

use anyhow::Context;
use serde_json::Value;

use super::Findings;

/// A rule that is not followed on purpose.
pub struct Accepted {
    id: String,
    /// Names of resources end like this; none: all of them.
    resources: Vec<String>,
}

/// Reads deploy/checks/accepted.toml.
pub fn accepted(text: &str) -> anyhow::Result<Vec<Accepted>> {
    let table: toml::Table = text.parse().context("accepted.toml")?;
    let rules = table.get("rule").and_then(toml::Value::as_array).context("there is no [[rule]]")?;
    let one = |rule: &toml::Value| {
        let field = |name: &str| {
            let text = rule.get(name).and_then(toml::Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).with_context(|| format!("a rule is accepted without {name}"))
        };
        field("name")?;
        field("reason")?;
        let resources = rule.get("resources").and_then(toml::Value::as_array);
        let resources = resources.into_iter().flatten().filter_map(toml::Value::as_str);
        Ok(Accepted { id: field("id")?, resources: resources.map(str::to_owned).collect() })
    };
    rules.iter().map(one).collect()
}

/// What is wrong, and what was looked at.
pub fn judge(report: &Value, accepted: &[Accepted]) -> anyhow::Result<(Findings, String)> {
    let failed = report["results"]["failed_checks"].as_array().context("checkov's report has no results")?;
    let mut findings = Findings::new();
    let mut used = vec![false; accepted.len()];
    for check in failed {
        let part = |name: &str| check[name].as_str().unwrap_or_default();
        let (id, resource) = (part("check_id"), part("resource"));
        let covers = |rule: &Accepted| {
            rule.id == id
                && (rule.resources.is_empty() || rule.resources.iter().any(|end| resource.ends_with(end)))
        };
        match accepted.iter().position(covers) {
            Some(rule) => used[rule] = true,
            None => findings.push(format!("{}: {resource}: {id}: {}", part("file_path"), part("check_name"))),
        }
    }
    let idle = accepted.iter().zip(&used).filter(|(_, used)| !**used);
    findings.extend(idle.map(|(rule, _)| format!("accepted.toml: {} finds nothing any more", rule.id)));
    let summary = &report["summary"];
    if summary["parsing_errors"] != 0 || summary["resource_count"] == 0 {
        findings.push(format!("not everything was read: {summary}"));
    }
    let looked_at = format!(
        "{} resources, {} checks passed, {} accepted",
        summary["resource_count"],
        summary["passed"],
        failed.len()
    );
    Ok((findings, looked_at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(failed: &[(&str, &str)], accepted: &str) -> Findings {
        let failed: Vec<_> =
            failed.iter().map(|(id, resource)| json!({"check_id": id, "resource": resource})).collect();
        let report = json!({
            "results": {"failed_checks": failed},
            "summary": {"passed": 7, "parsing_errors": 0, "resource_count": 3},
        });
        judge(&report, &super::accepted(accepted).unwrap()).unwrap().0
    }

    const ONE: &str = "[[rule]]\nid = 'A'\nname = 'n'\nreason = 'r'\n";

    #[test]
    fn what_is_accepted_is_no_finding() {
        assert!(findings(&[("A", "Job.x"), ("A", "Job.y")], ONE).is_empty());
    }

    #[test]
    fn another_rule_or_another_resource_is_one() {
        assert_eq!(findings(&[("A", "Job.x"), ("B", "Job.x")], ONE).len(), 1);
        let narrow = format!("{ONE}resources = ['x']\n");
        assert_eq!(findings(&[("A", "Job.x"), ("A", "Job.y")], &narrow).len(), 1);
    }

    #[test]
    fn accepting_what_does_not_occur_is_one() {
        assert_eq!(findings(&[], ONE).len(), 1);
    }

    #[test]
    fn nothing_is_accepted_without_a_reason() {
        assert!(accepted("[[rule]]\nid = 'A'\nname = 'n'\nreason = ''\n").is_err());
    }
}
