//! Recommenders of every kind as one thing: trained by name, saved, loaded by the kind in their
//! folder, asked for slates, played in environments, judged by logs.
//!
//! * A [`Recommender`] is a policy with its items, its settings and what it learned from. It is
//!   made of [`Content`], which every kind takes from what it trained, and behind it stands a
//!   [`DynPolicy`].
//! * A [`Method`] trains a kind on a log: a new one is a file in `src/kinds/` and a line in the
//!   table of `src/kinds.rs`, and is then in the program, in [`Recommender::load`] and in the law
//!   tests.
//! * [`Users`] are learned users of any kind, saved and loaded alike.
//!
//! ```
//! use candle_core::Device;
//! use foretaste_data::{Catalogue, Dataset};
//! use foretaste_random::Seed;
//! use foretaste_recommender::{Effort, Job, Method, Recommender, TrainingLog};
//! use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout, policies::UniformRandom};
//!
//! // A log of simulated users, in place of yours.
//! let mdp = Mdp::new(&MdpConfig { items: 20, ..MdpConfig::default() })?;
//! let log = Rollout::new(Seed::new(1), 0..50, 4).run(&mdp, &Blind(UniformRandom { items: 20 }))?;
//! let shop = Dataset { log, catalogue: Catalogue::numbered(20), ..Dataset::default() };
//!
//! let method = Method::named("popularity")?;
//! let log = TrainingLog { dataset: &shop, sessions: &(0..50).collect::<Vec<_>>() };
//! let settings = method.settings(&log, &Effort { epochs: 1, adversarial: 1, hidden: 8 })?;
//! let (device, origin, unfinished) = (&Device::Cpu, None, None);
//! let job = Job { settings: &settings, seed: 2, device, origin, unfinished };
//! let trained = method.train(&log, &job, &mut ())?;
//!
//! let folder = tempfile::tempdir()?;
//! Recommender::new(trained.content, &shop.catalogue, device)?.save(folder.path())?;
//! let recommender = Recommender::load(folder.path(), device)?;
//! assert_eq!(recommender.kind(), "popularity");
//! let slate = recommender.recommend_raw(&["3", "17"], None, 4, Seed::new(3).stream(0))?;
//! assert_eq!(slate.len(), 4);
//! assert_eq!(Rollout::new(Seed::new(5), 0..10, 4).run(&mdp, &Blind(&recommender))?.sessions(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod dynamic;
mod error;
mod folder;
mod kinds;
mod recommender;
mod training;
mod users;

pub use content::Content;
pub use dynamic::{DynPolicy, Erased, Memory};
pub use error::{Error, Result};
pub use folder::{RECOMMENDER, USERS};
pub use recommender::Recommender;
pub use training::{Effort, Job, Method, Progress, Save, Trained, TrainingLog, Watch};
pub use users::{Model, Users, UsersEnvironment, UsersState};
