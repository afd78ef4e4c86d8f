//! The way to the dispatchers: commands in order down one stream to each,
//! queries as calls of their own, and another dispatcher when one is gone.

use proto::node::{Actor, answer, command, outcome, query};
use proto::v1;
use tower::util::BoxCloneSyncService;

/// A dispatcher's gRPC service: a channel to another process, or the service
/// itself in the same process.
pub type NodeService = BoxCloneSyncService<
    http::Request<tonic::body::Body>,
    http::Response<tonic::body::Body>,
    Box<dyn std::error::Error + Send + Sync>,
>;

/// Where the dispatchers are.
#[derive(Clone)]
pub enum Endpoints {
    /// In this process.
    Local(NodeService),
    /// gRPC URLs (`http://host:port`); a name that resolves to several
    /// addresses stands for all of them.
    Remote(Vec<String>),
}

/// Handle to the dispatchers; cheap to clone.
#[derive(Clone)]
pub struct Link {}

impl Link {
    /// Runs a command and waits for its outcome. Never `outcome::Result::Error`:
    /// refusals, timeouts and unavailability are the `Err`.
    pub async fn command(
        &self,
        _actor: Actor,
        _action: command::Action,
    ) -> Result<outcome::Result, v1::Error> {
        unimplemented!()
    }

    /// Asks a question. Never `answer::Result::Error`: that is the `Err`.
    pub async fn ask(&self, _actor: Actor, _question: query::Question) -> Result<answer::Result, v1::Error> {
        unimplemented!()
    }
}
