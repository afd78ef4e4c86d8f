//! Keys to check signatures with, each with the algorithms that it is for.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use thiserror::Error;

use Algorithm::{ES256, ES384, EdDSA, HS256, PS256, PS384, PS512, RS256, RS384, RS512};

/// What tokens are checked with: one of three, fixed by configuration.
#[derive(Clone)]
pub enum Keys {
    /// A secret shared with the issuer; HS256 only.
    Hs256(Vec<u8>),
    /// The issuer's public key in PEM: RSA, elliptic curve (P-256, P-384) or Ed25519.
    PublicKey(String),
    /// The issuer's public keys, fetched as a JSON Web Key Set.
    Jwks {
        /// Where from.
        url: String,
    },
}

/// Says which kind, never the secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keys::Hs256(_) => "Hs256",
            Keys::PublicKey(_) => "PublicKey",
            Keys::Jwks { .. } => "Jwks",
        })
    }
}

/// Keys that cannot check anything. Displays as a reason for the operator.
#[derive(Debug, Error)]
pub enum InvalidKeys {
    /// An empty secret.
    #[error("the JWT secret is empty")]
    EmptySecret,
    /// A private key where a public one belongs.
    #[error("the JWT key file holds a private key; only the public one belongs here")]
    PrivateKey,
    /// Not the PEM of a public key that we can use.
    #[error(
        "the JWT key file is not PEM (\"BEGIN PUBLIC KEY\") of an RSA, P-256, P-384 or Ed25519 public key"
    )]
    NotPublicKey,
    /// Not a URL that keys can be fetched from.
    #[error("the JWKS URL is not an http or https URL")]
    NotUrl,
    /// The HTTP client cannot be built.
    #[error("the HTTP client for the JWKS cannot be built: {0}")]
    Client(#[from] reqwest::Error),
}

/// A key, and the algorithms that may be used with it.
pub(super) struct Key {
    pub key: DecodingKey,
    pub algorithms: Vec<Algorithm>,
}

const RSA: [Algorithm; 6] = [RS256, RS384, RS512, PS256, PS384, PS512];

impl Key {
    /// A shared secret.
    pub fn from_secret(secret: &[u8]) -> Result<Self, InvalidKeys> {
        if secret.is_empty() {
            return Err(InvalidKeys::EmptySecret);
        }
        Ok(Self { key: DecodingKey::from_secret(secret), algorithms: vec![HS256] })
    }

    /// A public key in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKeys> {
        if pem.contains("PRIVATE KEY") {
            return Err(InvalidKeys::PrivateKey);
        }
        // A certificate is not a key: who would check its chain and its end?
        if pem.contains("CERTIFICATE") {
            return Err(InvalidKeys::NotPublicKey);
        }
        let pem = pem.as_bytes();
        let (key, algorithms) = if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            (key, RSA.to_vec())
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            // An uncompressed point: a byte of tag and two coordinates.
            let algorithms = match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(65) => vec![ES256],
                Ok(97) => vec![ES384],
                _ => return Err(InvalidKeys::NotPublicKey),
            };
            (key, algorithms)
        } else if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            (key, vec![EdDSA])
        } else {
            return Err(InvalidKeys::NotPublicKey);
        };
        // Reads the key's numbers, so that a damaged one is found at the start.
        Jwk::from_decoding_key(&key, None).map_err(|_| InvalidKeys::NotPublicKey)?;
        Ok(Self { key, algorithms })
    }

    /// A key of a fetched set; `None` if it is not for checking signatures, or
    /// not of a kind that we know. Shared secrets are never taken from a set.
    pub fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let purpose = &jwk.common;
        if purpose.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        if purpose.key_operations.as_ref().is_some_and(|can| !can.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![ES256],
                EllipticCurve::P384 => vec![ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
            _ => return None,
        };
        if let Some(only) = purpose.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        if algorithms.is_empty() {
            return None;
        }
        Some(Self { key: DecodingKey::from_jwk(jwk).ok()?, algorithms })
    }
}
