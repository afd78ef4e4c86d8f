//! `token`: prints a token, and nothing else.

use anyhow::{Context, ensure};

use crate::cli::TokenArgs;
use crate::config::Token;
use crate::key::{self, Claims};

/// Signs with the configured secret, else with standalone's own key.
pub fn run(config: Token, args: &TokenArgs) -> anyhow::Result<()> {
    let secret = match config.secret {
        Some(secret) => secret,
        None => key::find(&config.data_dir)?.with_context(|| {
            let folder = config.data_dir.display();
            format!("no key to sign with: set jwt_secret, or start `carillon standalone`, which makes one in {folder}")
        })?,
    };
    if let Some(name) = &args.name {
        let checked = proto::text::check_name(name);
        ensure!(checked.is_ok(), "--name: this is no display name: one line, not empty and not too long");
    }
    let claims = Claims {
        user: args.user.as_str(),
        name: args.name.as_deref(),
        service: args.service,
        lifetime: args.expires,
        issuer: config.issuer.as_deref(),
        audience: config.audience.as_deref(),
    };
    println!("{}", key::sign(&secret, &claims)?);
    Ok(())
}
