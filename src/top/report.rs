//! One view as plain text, or as JSON.

use std::iter;

use serde_json::{Map, Value, json};

use super::column::COLUMNS;
use super::figures::Figures;
use super::watch::{Node, View};

/// A table with a line for each node and one for all.
pub fn table(view: &View) -> String {
    let titles = ["node", "role"].into_iter().chain(COLUMNS.iter().map(|column| column.title));
    let mut rows = vec![titles.map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(view.nodes.iter().map(|node| match &node.state {
        Ok(seen) => row(&node.name, &seen.role, &seen.figures),
        Err(_) => vec![node.name.clone(), "down".to_owned()],
    }));
    rows.push(row("total", &format!("{}/{} up", view.up(), view.nodes.len()), &view.total));
    let width = |place: usize| rows.iter().filter_map(|row| row.get(place)).map(String::len).max();
    let widths: Vec<_> = (0..COLUMNS.len() + 2).map(|place| width(place).unwrap_or(0)).collect();
    let reasons = view.nodes.iter().map(|node| node.state.as_ref().err());
    let reasons = iter::once(None).chain(reasons).chain(iter::once(None));
    let mut text = String::new();
    for (row, reason) in rows.iter().zip(reasons) {
        let cells = row.iter().zip(&widths).enumerate().map(|(place, (cell, width))| match place {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let mut line = cells.collect::<Vec<_>>().join("  ");
        if let Some(reason) = reason {
            line.push_str("  ");
            line.push_str(reason);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(name: &str, role: &str, figures: &Figures) -> Vec<String> {
    let cells = COLUMNS.iter().map(|column| column.cell(figures));
    [name.to_owned(), role.to_owned()].into_iter().chain(cells).collect()
}

/// The same with every figure as it is; `null`: not known, or not of this role.
pub fn json(view: &View) -> Value {
    let mut total = figures(&view.total);
    total.insert("nodes".to_owned(), view.nodes.len().into());
    total.insert("nodesUp".to_owned(), view.up().into());
    json!({ "nodes": view.nodes.iter().map(node).collect::<Vec<_>>(), "total": total })
}

fn node(node: &Node) -> Value {
    match &node.state {
        Ok(seen) => {
            let mut figures = figures(&seen.figures);
            figures.insert("node".to_owned(), node.name.clone().into());
            figures.insert("up".to_owned(), true.into());
            figures.insert("role".to_owned(), seen.role.clone().into());
            figures.insert("version".to_owned(), seen.version.clone().into());
            figures.into()
        }
        Err(reason) => json!({ "node": node.name, "up": false, "reason": reason }),
    }
}

fn figures(figures: &Figures) -> Map<String, Value> {
    let value = |value: Option<f64>, is_link| match value {
        Some(value) if is_link => Value::from(value > 0.0),
        // What is no number becomes null.
        value => Value::from(value),
    };
    let values = COLUMNS
        .iter()
        .map(|column| (column.key.to_owned(), value((column.value)(figures), column.is_link())));
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::super::watch::Seen;
    use super::*;

    fn view() -> View {
        let of_gateway = Figures {
            connections: Some(12.0),
            deliveries: Some(1234.5),
            memory: Some(30e6),
            broker: Some(0.0),
            ..Figures::default()
        };
        let seen = Seen { role: "gateway".to_owned(), version: "1".to_owned(), figures: of_gateway.clone() };
        let nodes = vec![
            Node { name: "10.0.0.1:9090".to_owned(), state: Ok(seen) },
            Node { name: "b:9090".to_owned(), state: Err("Connection refused".to_owned()) },
        ];
        View { nodes, total: of_gateway }
    }

    #[test]
    fn the_table_lists_every_node_and_their_total() {
        let table = table(&view());
        let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..4], ["node", "role", "conns", "frames/s"]);
        assert_eq!(lines[1][..5], ["10.0.0.1:9090", "gateway", "12", "-", "1234"]);
        assert_eq!(lines[2], ["b:9090", "down", "Connection", "refused"]);
        assert_eq!(lines[3][..4], ["total", "1/2", "up", "12"]);
        let ends: Vec<_> = table.lines().map(|line| line.find("12").map(|at| at + 2)).collect();
        assert_eq!(ends[1], ends[3], "columns are straight\n{table}");
    }

    #[test]
    fn json_has_the_figures_as_they_are() {
        let json = json(&view());
        assert_eq!(json["nodes"][0]["deliveriesPerSecond"], 1234.5);
        assert_eq!(json["nodes"][0]["brokerUp"], false);
        assert_eq!(json["nodes"][0]["sendsPerSecond"], Value::Null);
        assert_eq!(
            json["nodes"][1],
            json!({ "node": "b:9090", "up": false, "reason": "Connection refused" })
        );
        assert_eq!((&json["total"]["nodesUp"], &json["total"]["nodes"]), (&json!(1), &json!(2)));
    }
}
