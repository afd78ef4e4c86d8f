//! Asking the nodes: addresses, the nodes that they stand for, and their
//! answers.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::net::lookup_host;

use super::exposition::Reading;

/// The default of `admin_listen`.
const PORT: u16 = 9090;
const PATH: &str = "/metrics";
/// Our largest answers are a hundredth of it.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Where nodes show their metrics. Its name may stand for several nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "must be an address such as http://host:9090/metrics or host:9090";
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&text).map_err(|error| format!("{FORM}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(FORM.to_owned());
        }
        // `http://host:80` says its port, `http://host` does not; the parser drops both.
        let said = text.split("://").nth(1).is_some_and(|rest| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        });
        if url.scheme() == "http" && !said {
            let set = url.set_port(Some(PORT));
            set.map_err(|()| FORM.to_owned())?;
        }
        if url.path() == "/" {
            url.set_path(PATH);
        }
        Ok(Self(url))
    }
}

impl Address {
    fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(PORT)
    }

    /// What stands for it as long as it stands for no node.
    pub fn label(&self) -> String {
        match self.host().parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, self.port()).to_string(),
            Err(_) => format!("{}:{}", self.host(), self.port()),
        }
    }

    /// The nodes behind the name. Of a name with addresses of both families
    /// only those of IPv4 count: they are mostly the same nodes twice.
    pub async fn nodes(&self, timeout: Duration) -> anyhow::Result<Vec<SocketAddr>> {
        let found = tokio::time::timeout(timeout, lookup_host((self.host(), self.port()))).await;
        let found = found.with_context(|| format!("its name is not resolved within {timeout:?}"))?;
        let found: Vec<_> = found.context("its name does not resolve")?.collect();
        ensure!(!found.is_empty(), "its name has no address");
        let mut nodes: Vec<_> = found.iter().copied().filter(SocketAddr::is_ipv4).collect();
        if nodes.is_empty() {
            nodes = found;
        }
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }
}

/// One node, and a connection to it that stays open.
#[derive(Debug, Clone)]
pub struct Target {
    url: Url,
    client: Client,
    timeout: Duration,
}

impl Target {
    /// The node at `node`, one of those of `address`; asking gives up after `timeout`.
    pub fn new(address: &Address, node: SocketAddr, timeout: Duration) -> anyhow::Result<Self> {
        // The name stays in the URL, for what looks at it on the way: TLS, a proxy.
        let client = Client::builder()
            .resolve(address.host(), node)
            .no_proxy()
            .redirect(Policy::none())
            .timeout(timeout)
            .build()?;
        Ok(Self { url: address.0.clone(), client, timeout })
    }

    /// What the node says now.
    pub async fn read(&self) -> anyhow::Result<Reading> {
        let text = self.fetch().await.map_err(|error| self.explain(&error))??;
        Ok(Reading::parse(&text, Instant::now())?)
    }

    async fn fetch(&self) -> reqwest::Result<anyhow::Result<String>> {
        let mut response = self.client.get(self.url.clone()).send().await?;
        if !response.status().is_success() {
            return Ok(Err(anyhow::anyhow!("it answers {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Ok(Err(anyhow::anyhow!("it answers more than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(String::from_utf8(body).context("what it answers is no text"))
    }

    /// The cause alone: what was tried stands beside it on the screen.
    fn explain(&self, error: &reqwest::Error) -> anyhow::Error {
        if error.is_timeout() {
            return anyhow::anyhow!("no answer within {:?}", self.timeout);
        }
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        anyhow::anyhow!("{cause}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_short() {
        for (text, url, label) in [
            ("http://host:9091/metrics", "http://host:9091/metrics", "host:9091"),
            ("host", "http://host:9090/metrics", "host:9090"),
            ("host:80", "http://host/metrics", "host:80"),
            ("10.0.0.1:9091", "http://10.0.0.1:9091/metrics", "10.0.0.1:9091"),
            ("[::1]", "http://[::1]:9090/metrics", "[::1]:9090"),
            ("http://[::1]:9091/", "http://[::1]:9091/metrics", "[::1]:9091"),
            ("https://host/node/1", "https://host/node/1", "host:443"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.0.as_str(), address.label().as_str()), (url, label), "{text}");
        }
        for text in ["", "ftp://host", "http://", "host:port", "host:99999", "a b"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_its_nodes() {
        let nodes = async |text: &str| {
            let address: Address = text.parse().unwrap();
            address
                .nodes(Duration::from_secs(10))
                .await
                .map(|nodes| nodes.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(nodes("127.0.0.1:1").await.unwrap(), ["127.0.0.1:1"]);
        assert_eq!(nodes("[::1]:1").await.unwrap(), ["[::1]:1"]);
        let error = nodes("name.invalid:1").await.unwrap_err();
        assert!(error.to_string().contains("its name"), "{error:#}");
    }
}
