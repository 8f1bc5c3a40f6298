//! Recommenders of every kind behind one type: trained by the name of a method, saved, loaded,
//! asked for slates, simulated with users, and judged by logs.
//!
//! * A [`Recommender`] is a policy with its items, its settings and a record of what it learned
//!   from. It is made from [`Content`], which each kind of recommender provides, and contains a
//!   [`DynPolicy`].
//! * A [`Method`] trains one kind on a log. A new method is a file in `src/kinds/` and a line in
//!   the table of `src/kinds.rs`; the program, [`Recommender::load`] and the tests of laws then
//!   know it.
//! * An [`Actor`] is a recommender with a way of acting, and answers [`Request`]s by raw ids.
//! * [`Users`] are learned users of any kind, saved and loaded in the same way.
//!
//! A saved recommender answers a request in ten lines:
//!
//! ```
//! # use foretaste_data::Catalogue;
//! # use foretaste_recommender::{Content, Recommender as Any};
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! # let shop = Catalogue::new(["hat", "shoe", "tie"].into_iter().collect());
//! # let best = Content::top_items(vec![0.2, 0.9, 0.4])?;
//! # Any::new(best, &shop, &candle_core::Device::Cpu)?.save(folder)?;
//! use candle_core::Device;
//! use foretaste_random::Seed;
//! use foretaste_recommender::{Acting, Recommender, Request};
//!
//! let recommender = Recommender::load(folder, &Device::Cpu)?;
//! let actor = recommender.acting(Acting::default())?;
//! let request = Request { exclude: vec!["shoe".into()], ..Request::new(&["hat", "tie"], 2) };
//! let answers = actor.answer(&[request], Seed::new(1), 0)?;
//! assert_eq!(answers[0].items, ["tie", "hat"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From a log to a recommender, which is saved, loaded and simulated with users:
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
//! let sessions: Vec<usize> = (0..50).collect();
//! let log = TrainingLog { dataset: &shop, sessions: &sessions, users: None };
//! let settings = method.settings(&log, &Effort::default())?;
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

mod acting;
mod content;
mod dynamic;
mod error;
mod folder;
mod in_users;
mod kinds;
mod recommender;
mod requests;
mod training;
mod users;

pub use acting::{Acting, Actor, Way};
pub use content::Content;
pub use dynamic::{DynPolicy, Erased, Memory};
pub use error::{Error, Result};
pub use folder::{RECOMMENDER, USERS};
pub use recommender::Recommender;
pub use requests::{Recommended, Request, UnknownIds};
pub use training::{Earned, Effort, Job, Method, Progress, Save, Trained, TrainingLog, Watch};
pub use users::{Model, Users, UsersEnvironment, UsersState};
