(** The objects of the theory over any ordered field: distributions, MDPs, policies, renderings.

    Nothing is proved here.  No infinite sum is needed: a value function is a solution of the
    Bellman equation, an occupancy a solution of the flow equation; that both exist and are unique
    are theorems (Values.v). *)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** Distributions over a finite type *)

Section Distributions.

Variables (F : realFieldType) (A : finType).
Implicit Types p q : A -> F.

Definition dist p : Prop := (forall a, 0 <= p a) /\ \sum_a p a = 1.

Definition expect p (x : A -> F) : F := \sum_a p a * x a.

(** Total variation. *)
Definition tv p q : F := (\sum_a `|p a - q a|) / 2%:R.

(** Kullback-Leibler divergence for a logarithm [lg], which Distillation.v says more about. *)
Definition kl (lg : F -> F) p q : F := \sum_a p a * lg (p a / q a).

End Distributions.

(** ** Markov decision processes *)

Record mdp (F : realFieldType) (S A : finType) := Mdp {
  transition : S -> A -> S -> F;
  reward : S -> A -> F;
  initial : S -> F;
  discount : F;
  reward_min : F;
  reward_max : F;
  transition_dist : forall s a, dist (transition s a);
  initial_dist : dist initial;
  discount_ge0 : 0 <= discount;
  discount_lt1 : discount < 1;
  reward_bounds : forall s a, reward_min <= reward s a <= reward_max
}.

Section Model.

Variables (F : realFieldType) (S A : finType) (m : mdp F S A).
Implicit Types (pi : S -> A -> F) (V d c : S -> F).

Definition reward_range : F := reward_max m - reward_min m.

(** A latent policy: what is done in a latent state, under one rendering. *)
Definition policy pi : Prop := forall s, dist (pi s).

Definition action_value V (s : S) (a : A) : F :=
  reward m s a + discount m * expect (transition m s a) V.

(** [V] solves the Bellman equation of [pi]. *)
Definition is_value pi V : Prop := forall s, V s = expect (pi s) (action_value V s).

(** [d] solves the flow equation of [pi]: the unnormalised discounted occupancy. *)
Definition is_occupancy pi d : Prop :=
  forall s', d s' = initial m s' +
    discount m * \sum_s d s * expect (pi s) (fun a => transition m s a s').

(** J, the expected discounted return. *)
Definition return_of V : F := expect (initial m) V.

Definition advantage V (s : S) (a : A) : F := action_value V s a - V s.

(** Expected discounted total variation met before two coupled trajectories separate: the solution
    of c = t + gamma P_m c, with the common part of both policies in P_m. *)
Definition is_separation pi pi' c : Prop :=
  forall s, c s = tv (pi s) (pi' s) +
    discount m * \sum_a Num.min (pi s a) (pi' s a) * expect (transition m s a) c.

(** Half the sum of absolute differences between two state-action occupancies. *)
Definition occupancy_distance pi d pi' d' : F :=
  (\sum_s \sum_a `|d s * pi s a - d' s * pi' s a|) / 2%:R.

(** Total variation on the states that the first policy visits: [\sum_s d s * TV_s]. *)
Definition visited_tv d pi pi' : F := \sum_s d s * tv (pi s) (pi' s).

End Model.

(** ** Families of renderings *)

Record family (F : realFieldType) (I : finType) := Family {
  weight : I -> F;
  in_training : pred I;
  weight_dist : dist weight;
  train_mass_gt0 : 0 < \sum_(f | in_training f) weight f
}.

Section Renderings.

Variables (F : realFieldType) (I : finType) (w : family F I).

(** M, the probability of the training renderings. *)
Definition train_mass : F := \sum_(f | in_training w f) weight w f.

(** Mean over training renderings; mean over all. *)
Definition train_mean (x : I -> F) : F :=
  (\sum_(f | in_training w f) weight w f * x f) / train_mass.
Definition general_mean (x : I -> F) : F := expect (weight w) x.

(** |zeta - eta| for the returns [J f]. *)
Definition gap (J : I -> F) : F := `|general_mean J - train_mean J|.

(** Mean over training [f] and held-out [g]; 0 if nothing is held out. *)
Definition pair_mean (x : I -> I -> F) : F :=
  (\sum_(f | in_training w f) \sum_(g | ~~ in_training w g) weight w f * weight w g * x f g)
  / (train_mass * (1 - train_mass)).

(** R: the largest total variation between a training and a held-out rendering of a state. *)
Definition robustness (S A : finType) (pi : I -> S -> A -> F) : F :=
  \big[Num.max/0]_(f | in_training w f) \big[Num.max/0]_(g | ~~ in_training w g)
    \big[Num.max/0]_s tv (pi f s) (pi g s).

(** The largest total variation between two policies, over all renderings and states. *)
Definition disagreement (S A : finType) (pi pi' : I -> S -> A -> F) : F :=
  \big[Num.max/0]_f \big[Num.max/0]_s tv (pi f s) (pi' f s).

End Renderings.
