//! TCP and TLS on tokio: [`tcp`], with [`Tokio`] for a runtime.

use asap_pu::{Config, ConfigError};

pub use crate::runtime::Tokio;
use crate::tcp;

/// A pool user in touch with the world.
pub type Driver = tcp::Driver<Tokio>;

impl Driver {
    /// A driver around a new pool user. The seed should differ from process to process, so
    /// that not all choose the same element first.
    ///
    /// # Errors
    /// The configuration contradicts itself, or lists a registrar that is not reached over TCP.
    pub fn new(config: Config, seed: u64) -> Result<Self, ConfigError> {
        Self::on(Tokio, config, seed)
    }
}
