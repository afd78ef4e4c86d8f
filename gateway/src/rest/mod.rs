//! HTTP routes over the same commands.
use std::sync::Arc;
/// x
#[derive(Clone)]
pub struct RestState {
    /// x
    pub link: crate::Link,
    /// x
    pub authenticator: Arc<crate::Authenticator>,
    /// x
    pub presence: Arc<dyn bus::Presence>,
    /// x
    pub settings: crate::Settings,
}
/// x
pub fn router(_state: RestState) -> axum::Router { axum::Router::new() }
/// x
pub fn problem(_error: proto::v1::Error) -> axum::response::Response { unimplemented!() }
