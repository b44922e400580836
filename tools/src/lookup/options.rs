//! The command line, and the configuration that it comes to.

use std::time::Duration;

use asap_pu::Config;
use asap_pu::wire::PoolHandle;
use clap::Parser;

use crate::command_line::handle;
use crate::link::random;
use crate::registrars::Registrars;

const STATUS: &str = "\
Exit status:
  0  the pool was found
  1  there is no such pool
  2  the command line makes no sense
  3  no registrar is known, or none can be reached
  4  the registrar gave no answer that can be used
  5  this machine cannot do what it takes
  6  the registrar refused, or did not answer in time";

/// Asks a registrar who is in a pool.
#[derive(Debug, Parser)]
#[command(name = "asap-lookup", after_help = STATUS)]
pub(crate) struct Options {
    /// The pool handle; bytes that are no text as they are shown, like \x00.
    #[arg(value_parser = handle)]
    pub(crate) handle: PoolHandle,

    /// How many elements to list at most; 0 leaves it to the registrar.
    #[arg(long, value_name = "N", default_value_t = 128)]
    wanted: u32,

    /// Choose so many times by the pool's policy.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) pick: u16,

    /// Choose as another run with this seed did.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Go on until the pool is no more, and show what changes; ask again after so many seconds
    /// where the registrar does not tell of changes.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
          default_missing_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) watch: Option<u32>,

    /// Show the messages, in hex.
    #[arg(long, conflicts_with = "json")]
    pub(crate) hex: bool,

    /// Show what is found as JSON, one object on a line.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) registrars: Registrars,
}

impl Options {
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(random)
    }

    /// What the pool user is to know.
    ///
    /// # Errors
    /// A registrar has no address; says which.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let mut config = self.registrars.config()?;
        config.resolution.elements_wanted = Some(self.wanted).filter(|wanted| *wanted > 0);
        if let Some(seconds) = self.watch {
            config.cache.stale_cache_value = Duration::from_secs(seconds.into());
        }
        Ok(config)
    }
}
