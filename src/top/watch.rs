//! The nodes, round after round: what was read before, and what it makes with
//! what is read now.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::exposition::Reading;
use super::figures::Figures;
use super::target::{Address, Target};

/// How often names are asked for, as gateways do for dispatchers.
const RESOLVE: Duration = Duration::from_secs(5);
/// A node that hangs holds up the round for at most this long.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A node as it was in a round.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is.
    pub name: String,
    /// What it does, or why that is not known.
    pub state: Result<Seen, String>,
}

/// A node that answered.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// `gateway`, `dispatcher` or `standalone`.
    pub role: String,
    /// Of the program.
    pub version: String,
    /// What it does.
    pub figures: Figures,
}

/// All nodes as they were in a round.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// In the order of the addresses that were named.
    pub nodes: Vec<Node>,
    /// Of all that answered.
    pub total: Figures,
}

impl View {
    /// How many answered.
    pub fn up(&self) -> usize {
        self.nodes.iter().filter(|node| node.state.is_ok()).count()
    }
}

/// Watches nodes. Ask it for a round as often as you like.
#[derive(Debug)]
pub struct Watch {
    names: Vec<Name>,
    known: BTreeMap<SocketAddr, Known>,
    resolved: Option<Instant>,
    timeout: Duration,
}

/// An address, and the nodes that it stands for.
#[derive(Debug)]
struct Name {
    address: Address,
    nodes: Vec<SocketAddr>,
    /// Why there is none.
    error: Option<String>,
}

/// What is known of a node from the rounds before.
#[derive(Debug)]
struct Known {
    target: Target,
    last: Option<Reading>,
}

impl Watch {
    /// Of these addresses, to be asked about every `interval`.
    pub fn new(addresses: Vec<Address>, interval: Duration) -> Self {
        let name = |address| Name { address, nodes: Vec::new(), error: None };
        Self {
            names: addresses.into_iter().map(name).collect(),
            known: BTreeMap::new(),
            resolved: None,
            timeout: interval.clamp(Duration::from_millis(500), LONGEST_WAIT),
        }
    }

    /// Asks all nodes at once, and returns when the last has answered or has
    /// had its time.
    pub async fn round(&mut self) -> View {
        if self.resolved.is_none_or(|at| at.elapsed() >= RESOLVE) {
            self.resolve().await;
            self.resolved = Some(Instant::now());
        }
        let mut questions = JoinSet::new();
        for (at, known) in &self.known {
            let (at, target) = (*at, known.target.clone());
            questions.spawn(async move { (at, target.read().await) });
        }
        let mut answers: BTreeMap<_, _> = questions.join_all().await.into_iter().collect();
        let mut view = View::default();
        for name in &self.names {
            if let Some(error) = &name.error {
                view.nodes.push(Node { name: name.address.label(), state: Err(error.clone()) });
            }
            for at in &name.nodes {
                // Named twice, it is one node.
                let (Some(answer), Some(known)) = (answers.remove(at), self.known.get_mut(at)) else {
                    continue;
                };
                let state = answer.map(|reading| known.take(reading)).map_err(|error| format!("{error:#}"));
                let name = match name.nodes.len() {
                    1 => name.address.label(),
                    _ => at.to_string(),
                };
                view.nodes.push(Node { name, state });
            }
        }
        view.total =
            Figures::total(view.nodes.iter().filter_map(|node| Some(&node.state.as_ref().ok()?.figures)));
        view
    }

    /// Who is behind the names now. A name that does not resolve any more
    /// stands for those that it last stood for.
    async fn resolve(&mut self) {
        for name in &mut self.names {
            match name.address.nodes(self.timeout).await {
                Ok(nodes) => (name.nodes, name.error) = (nodes, None),
                Err(error) if name.nodes.is_empty() => name.error = Some(format!("{error:#}")),
                Err(_) => {}
            }
        }
        let named = |at: &SocketAddr| self.names.iter().any(|name| name.nodes.contains(at));
        self.known.retain(|at, _| named(at));
        for name in &mut self.names {
            for at in &name.nodes {
                if self.known.contains_key(at) {
                    continue;
                }
                match Target::new(&name.address, *at, self.timeout) {
                    Ok(target) => {
                        self.known.insert(*at, Known { target, last: None });
                    }
                    Err(error) => name.error = Some(format!("{error:#}")),
                }
            }
        }
    }
}

impl Known {
    /// What this reading makes with those before it.
    fn take(&mut self, reading: Reading) -> Seen {
        let said = |label| reading.label("carillon_build_info", label).unwrap_or("?").to_owned();
        let figures = Figures::between(self.last.as_ref(), &reading);
        let seen = Seen { role: said("role"), version: said("version"), figures };
        self.last = Some(reading);
        seen
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    /// A node that answers each question with the next of these, then hangs.
    async fn node(answers: &'static [&'static str]) -> (String, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 4096]).await;
                let (head, body) = answer.split_once('|').unwrap();
                let text =
                    format!("{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = socket.write_all(text.as_bytes()).await;
            }
            loop {
                open.push(listener.accept().await.unwrap());
            }
        });
        (address, AbortOnDropHandle::new(task))
    }

    fn watch(addresses: &[&str]) -> Watch {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Watch::new(addresses, Duration::from_millis(500))
    }

    fn reason(node: &Node) -> &str {
        node.state.as_ref().err().map_or("", String::as_str)
    }

    #[tokio::test]
    async fn a_node_that_is_down_says_why_and_others_go_on() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (good, _good) = node(&[
            "HTTP/1.1 200 OK|carillon_gateway_connections 3\ncarillon_build_info{role=\"gateway\"} 1\n",
        ])
        .await;
        let (page, _page) = node(&["HTTP/1.1 200 OK|<html>"]).await;
        let (lost, _lost) = node(&["HTTP/1.1 404 Not Found|no"]).await;
        let (hung, _hung) = node(&[]).await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let mut watch = watch(&[&good, &page, &lost, &hung, &closed, "name.invalid", &good]);
        let view = watch.round().await;
        assert_eq!((view.nodes.len(), view.up()), (6, 1), "{view:?}");
        assert_eq!(view.total.connections, Some(3.0));
        let seen = view.nodes[0].state.as_ref().unwrap();
        assert_eq!((seen.role.as_str(), seen.version.as_str()), ("gateway", "?"));
        for (node, why) in view.nodes[1..].iter().zip([
            "no page of metrics (line 1)",
            "404 Not Found",
            "no answer within 500ms",
            "refused",
            "its name",
        ]) {
            assert!(reason(node).contains(why), "{node:?}");
        }
        assert_eq!(reason(&watch.round().await.nodes[0]), "no answer within 500ms", "it hangs now");
    }
}
