//! Learned users of both kinds behind one type, for the same reason as recommenders: commands load,
//! simulate and judge them without knowing which paper's model they are.

use std::path::Path;

use candle_core::Device;
use foretaste_data::{Catalogue, Log, Origin, Provenance};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_random::Stream;
use foretaste_sim::{Environment, Responses, Slates};
use foretaste_train::Network;
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourState, BehaviourUsers};
use foretaste_user_model::{LearnedState, LearnedUsers, UserModel};

use crate::content::{check_items, network, weights_of};
use crate::folder::{self, USERS, Written};
use crate::{Content, Error, Result};

/// A model of users of any kind.
#[derive(Debug)]
pub enum Model {
    /// GAN-CDQN's.
    Gan(Box<UserModel>),
    /// IRecGAN's U.
    Behaviour(BehaviourModel),
}

/// A learned user model with its items and what it was fitted on: what is saved, loaded, asked for
/// choices, and made an environment.
#[derive(Debug)]
pub struct Users {
    model: Model,
    catalogue: Catalogue,
    origin: Option<Origin>,
}

impl Users {
    /// The users of `model`, fitted over these items.
    pub fn new<'a>(model: Model, provenance: impl Into<Provenance<'a>>) -> Self {
        let Provenance { catalogue, origin } = provenance.into();
        Self { model, catalogue: catalogue.clone(), origin: origin.cloned() }
    }

    /// Writes the users into `folder`, which is created if need be, in place of those that are
    /// there.
    ///
    /// # Errors
    /// [`Error::Network`] if the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let content = match &self.model {
            Model::Gan(model) => Content::of(UserModel::KIND, &**model),
            Model::Behaviour(model) => Content::of(BehaviourModel::KIND, model),
        }?;
        let written = Written {
            manifest: USERS,
            model: content.kind,
            settings: &content.settings,
            weights: &content.weights,
            iterations: 0,
        };
        let provenance = Provenance { catalogue: &self.catalogue, origin: self.origin.as_ref() };
        folder::write(folder, &written, provenance)
    }

    /// Reads users of whatever kind is there: what [`save`](Self::save) wrote, or a user model that
    /// was saved for itself.
    ///
    /// # Errors
    /// [`Error::Missing`] if there are none; [`Error::Kind`] if their kind is not known, with those
    /// that are; [`Error::Network`] and [`Error::Log`] if the folder is damaged.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Self::load_knowing(folder, &Catalogue::default(), device)
    }

    /// As [`load`](Self::load), with the items of the caller, for a folder of an early version,
    /// which does not hold its own ([`Saved::read`](foretaste_data::Saved::read)).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_knowing(folder: &Path, items: &Catalogue, device: &Device) -> Result<Self> {
        let (manifest, kind) = folder::find(folder, USERS, "learned users")?;
        let known = [UserModel::KIND, BehaviourModel::KIND];
        if !known.contains(&&*kind) {
            return Err(Error::kind(&folder.join(manifest), kind, known.into_iter()));
        }
        let read = folder::read(folder, manifest, &kind, items)?;
        let content = Content {
            kind: known[usize::from(kind == BehaviourModel::KIND)],
            settings: read.settings,
            weights: read.weights,
            iterations: read.iterations,
        };
        let catalogue = read.saved.catalogue;
        let model = if kind == UserModel::KIND {
            let model = network(content.settings()?, &content.weights, &catalogue, device)?;
            Model::Gan(Box::new(model))
        } else {
            let model: BehaviourModel = content.network(&catalogue, device)?;
            check_items(model.config().items, &catalogue)?;
            Model::Behaviour(model)
        };
        Ok(Self { model, catalogue, origin: read.saved.origin })
    }

    /// The model alone.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Their items, in the model's own numbering.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What they were fitted on, if they say so.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// A copy of the users as an environment, which pays in the log's unit.
    ///
    /// # Errors
    /// [`Error::Users`] if the model was fitted on no log.
    pub fn environment(&self) -> Result<UsersEnvironment> {
        let model = match &self.model {
            Model::Gan(model) => Model::Gan(Box::new(self.copy(&**model)?)),
            Model::Behaviour(model) => Model::Behaviour(self.copy(model)?),
        };
        Self { model, catalogue: self.catalogue.clone(), origin: None }.into_environment()
    }

    fn copy<N: Network<Config: Clone>>(&self, model: &N) -> Result<N>
    where
        Error: From<N::Error>,
    {
        let (config, params) = model.parts();
        network(config.clone(), &weights_of(model)?.into(), &self.catalogue, params.device())
    }

    /// The users as an environment, which pays in the log's unit.
    ///
    /// # Errors
    /// [`Error::Users`] if the model was fitted on no log.
    pub fn into_environment(self) -> Result<UsersEnvironment> {
        Ok(UsersEnvironment(match self.model {
            Model::Gan(model) => Either::Gan(LearnedUsers::new(*model)?),
            Model::Behaviour(model) => {
                let users = BehaviourUsers::new(&model)?.as_logged();
                Either::Behaviour(Behaviour { model, users })
            }
        }))
    }
}

impl ChoiceModel for Users {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        match &self.model {
            Model::Gan(model) => model.predict(log, sessions),
            Model::Behaviour(model) => model.predict(log, sessions),
        }
    }
}

/// Learned users of any kind, as an environment, and as what they say of choices.
#[derive(Debug)]
pub struct UsersEnvironment(Either<LearnedUsers, Behaviour>);

/// IRecGAN's U in both forms.
#[derive(Debug)]
struct Behaviour {
    model: BehaviourModel,
    users: BehaviourUsers,
}

impl ChoiceModel for UsersEnvironment {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        match &self.0 {
            Either::Gan(users) => users.predict(log, sessions),
            Either::Behaviour(both) => both.model.predict(log, sessions),
        }
    }
}

/// The hidden state of [`UsersEnvironment`].
#[derive(Debug)]
pub struct UsersState(Either<LearnedState, BehaviourState>);

#[derive(Debug)]
enum Either<G, B> {
    Gan(G),
    Behaviour(B),
}

impl Environment for UsersEnvironment {
    type State = UsersState;

    fn items(&self) -> usize {
        match &self.0 {
            Either::Gan(users) => users.items(),
            Either::Behaviour(both) => both.users.items(),
        }
    }

    fn reset(&self, streams: &mut [Stream]) -> foretaste_sim::Result<UsersState> {
        Ok(UsersState(match &self.0 {
            Either::Gan(users) => Either::Gan(users.reset(streams)?),
            Either::Behaviour(both) => Either::Behaviour(both.users.reset(streams)?),
        }))
    }

    fn step(
        &self,
        state: &mut UsersState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> foretaste_sim::Result<()> {
        match (&self.0, &mut state.0) {
            (Either::Gan(users), Either::Gan(state)) => {
                users.step(state, slates, streams, responses)
            }
            (Either::Behaviour(both), Either::Behaviour(state)) => {
                both.users.step(state, slates, streams, responses)
            }
            _ => Err(another()),
        }
    }

    fn select(&self, state: &UsersState, rows: &[usize]) -> foretaste_sim::Result<UsersState> {
        Ok(UsersState(match (&self.0, &state.0) {
            (Either::Gan(users), Either::Gan(state)) => {
                Either::Gan(Environment::select(users, state, rows)?)
            }
            (Either::Behaviour(both), Either::Behaviour(state)) => {
                Either::Behaviour(Environment::select(&both.users, state, rows)?)
            }
            _ => return Err(another()),
        }))
    }

    fn replace(
        &self,
        state: &mut UsersState,
        rows: &[usize],
        streams: &mut [Stream],
    ) -> foretaste_sim::Result<()> {
        match (&self.0, &mut state.0) {
            (Either::Gan(users), Either::Gan(state)) => users.replace(state, rows, streams),
            (Either::Behaviour(both), Either::Behaviour(state)) => {
                both.users.replace(state, rows, streams)
            }
            _ => Err(another()),
        }
    }
}

fn another() -> foretaste_sim::Error {
    foretaste_sim::Error::Contract("the state is of other users".into())
}
