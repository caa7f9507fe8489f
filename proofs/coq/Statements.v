(** The statements of the theory, A0 to A8 and B1 to B6, as Coq has proved them.

    A claim, such as [A2_claim], is an inequality between numbers, with the names that they have in
    mdtheory/statements/quantities.py.  A theorem says for which objects of Model.v it is true.
    Every proof is the name of a theorem from another file: nothing is argued here.

    Read a theorem so: over any ordered field [F], for any finite types [I] of renderings, [S] of
    states and [A] of actions, any MDP [m] and any family [w] of renderings; [pi f] is the latent
    policy under rendering [f], [V f] its value, [d f] its occupancy. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mdtheory Require Import Model Tv Values Ladder Robustness Gap Worlds Tight Updates.
From mdtheory Require Import Distillation Divergence Softmax Shrinkage.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** Foundations: what the definitions of Model.v amount to *)

(** *** Total variation *)

Theorem foundation_tv_ge0 (F : realFieldType) (A : finType) (p q : A -> F) : 0 <= tv p q.
Proof. exact: tv_ge0. Qed.

Theorem foundation_tv_le1 (F : realFieldType) (A : finType) (p q : A -> F) :
  dist p -> dist q -> tv p q <= 1.
Proof. exact: tv_le1. Qed.

Theorem foundation_tv_symmetric (F : realFieldType) (A : finType) (p q : A -> F) :
  tv p q = tv q p.
Proof. exact: tvC. Qed.

Theorem foundation_tv_triangle (F : realFieldType) (A : finType) (p q r : A -> F) :
  tv p r <= tv p q + tv q r.
Proof. exact: tv_triangle. Qed.

Theorem foundation_tv_positive_part (F : realFieldType) (A : finType) (p q : A -> F) :
  dist p -> dist q -> tv p q = \sum_a Num.max 0 (p a - q a).
Proof. exact: tv_positive_part. Qed.

Theorem foundation_tv_test (F : realFieldType) (A : finType) (p q : A -> F) :
  dist p -> dist q -> exists B : pred A, tv p q = \sum_(a | B a) p a - \sum_(a | B a) q a.
Proof. exact: tv_test. Qed.

(** What two distributions have in common has mass 1 - TV. *)
Theorem foundation_common_mass (F : realFieldType) (A : finType) (p q : A -> F) :
  dist p -> dist q -> \sum_a Num.min (p a) (q a) = 1 - tv p q.
Proof. exact: sum_min. Qed.

Theorem foundation_expectations (F : realFieldType) (A : finType) (p q x : A -> F) (lo hi : F) :
  dist p -> dist q -> (forall a, lo <= x a <= hi) ->
  `|expect p x - expect q x| <= tv p q * (hi - lo).
Proof. exact: expect_distance. Qed.

(** *** Values, occupancies and separations exist and are unique *)

Theorem foundation_value_exists (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) :
  policy pi -> exists V, is_value m pi V.
Proof. exact: value_exists. Qed.

Theorem foundation_value_unique (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) (V V' : S -> F) :
  policy pi -> is_value m pi V -> is_value m pi V' -> forall s, V s = V' s.
Proof. exact: value_unique. Qed.

Theorem foundation_value_bounds (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) (V : S -> F) (s : S) :
  policy pi -> is_value m pi V ->
  reward_min m / (1 - discount m) <= V s <= reward_max m / (1 - discount m).
Proof. exact: value_bounds. Qed.

Theorem foundation_occupancy_exists (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) :
  policy pi -> exists d, is_occupancy m pi d.
Proof. exact: occupancy_exists. Qed.

Theorem foundation_occupancy_unique (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) (d d' : S -> F) :
  policy pi -> is_occupancy m pi d -> is_occupancy m pi d' -> forall s, d s = d' s.
Proof. exact: occupancy_unique. Qed.

Theorem foundation_occupancy_ge0 (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) (d : S -> F) (s : S) :
  policy pi -> is_occupancy m pi d -> 0 <= d s.
Proof. exact: occupancy_ge0. Qed.

Theorem foundation_occupancy_mass (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) (d : S -> F) :
  policy pi -> is_occupancy m pi d -> \sum_s d s = 1 / (1 - discount m).
Proof. exact: occupancy_mass. Qed.

Theorem foundation_separation_exists (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) :
  policy pi -> policy pi' -> exists c, is_separation m pi pi' c.
Proof. exact: separation_exists. Qed.

Theorem foundation_separation_unique (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (c c' : S -> F) :
  policy pi -> policy pi' -> is_separation m pi pi' c -> is_separation m pi pi' c' ->
  forall s, c s = c' s.
Proof. exact: separation_unique. Qed.

Theorem foundation_separation_bounds (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (c : S -> F) (s : S) :
  policy pi -> policy pi' -> is_separation m pi pi' c -> 0 <= c s <= 1.
Proof. exact: separation_bounds. Qed.

(** *** Returns *)

(** The return is the expected reward on the occupancy. *)
Theorem foundation_return (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi : S -> A -> F) (V d : S -> F) :
  is_value m pi V -> is_occupancy m pi d ->
  return_of m V = \sum_s d s * expect (pi s) (reward m s).
Proof. exact: return_occupancy. Qed.

(** The performance difference lemma. *)
Theorem foundation_performance_difference (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (V V' d' : S -> F) :
  is_value m pi V -> is_value m pi' V' -> is_occupancy m pi' d' ->
  return_of m V' - return_of m V =
    \sum_s d' s * \sum_a (pi' s a - pi s a) * action_value m V s a.
Proof. exact: performance_difference. Qed.

(** zeta - eta = (1 - M)(xi - eta); where M = 1 both sides are 0. *)
Theorem foundation_gap_identity (F : realFieldType) (I : finType) (w : family F I) (J : I -> F) :
  general_mean w J - train_mean w J = (1 - train_mass w) * (heldout_mean w J - train_mean w J).
Proof. exact: gap_identity. Qed.

(** What holds for the pairs of a training and a held-out rendering holds for the gap. *)
Theorem foundation_gap_of_pairs (F : realFieldType) (I : finType) (w : family F I) (J : I -> F) :
  gap w J <= (1 - train_mass w) * pair_mean w (fun f g => `|J f - J g|).
Proof. exact: gap_le_pair_mean. Qed.

(** *** Robustness and disagreement are the least bounds that are not negative *)

Theorem foundation_robustness (F : realFieldType) (I S A : finType) (w : family F I)
    (pi : I -> S -> A -> F) (f g : I) (s : S) :
  in_training w f -> ~~ in_training w g -> tv (pi f s) (pi g s) <= robustness w pi.
Proof. exact: tv_le_robustness. Qed.

Theorem foundation_robustness_least (F : realFieldType) (I S A : finType) (w : family F I)
    (pi : I -> S -> A -> F) (R : F) :
  0 <= R ->
  (forall f g s, in_training w f -> ~~ in_training w g -> tv (pi f s) (pi g s) <= R) ->
  robustness w pi <= R.
Proof. exact: robustness_le. Qed.

Theorem foundation_robustness_ge0 (F : realFieldType) (I S A : finType) (w : family F I)
    (pi : I -> S -> A -> F) :
  0 <= robustness w pi.
Proof. exact: robustness_ge0. Qed.

Theorem foundation_robustness_le1 (F : realFieldType) (I S A : finType) (w : family F I)
    (pi : I -> S -> A -> F) :
  (forall f, policy (pi f)) -> robustness w pi <= 1.
Proof. exact: robustness_le1. Qed.

Theorem foundation_disagreement (F : realFieldType) (I S A : finType)
    (pi pi' : I -> S -> A -> F) (f : I) (s : S) :
  tv (pi f s) (pi' f s) <= disagreement pi pi'.
Proof. exact: tv_le_disagreement. Qed.

Theorem foundation_disagreement_least (F : realFieldType) (I S A : finType)
    (pi pi' : I -> S -> A -> F) (D : F) :
  0 <= D -> (forall f s, tv (pi f s) (pi' f s) <= D) -> disagreement pi pi' <= D.
Proof. exact: disagreement_le. Qed.

(** ** A0: coverage. The gap is at most the unseen mass times the range of returns. *)

Definition A0_bound (F : realFieldType) (train_mass reward_range discount : F) : F :=
  (1 - train_mass) * reward_range / (1 - discount).

Definition A0_claim (F : realFieldType) (gap train_mass reward_range discount : F) : bool :=
  gap <= A0_bound train_mass reward_range discount.

Theorem A0_coverage (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V : I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  A0_claim (gap w (fun f => return_of m (V f))) (train_mass w) (reward_range m) (discount m).
Proof. exact: gap_coverage. Qed.

(** ** A1: classic. The gap is at most linear in R, with the squared horizon. *)

Definition A1_bound (F : realFieldType) (train_mass robustness reward_range discount : F) : F :=
  (1 - train_mass) * robustness * reward_range / (1 - discount) ^+ 2.

Definition A1_claim (F : realFieldType)
    (gap train_mass robustness reward_range discount : F) : bool :=
  gap <= A1_bound train_mass robustness reward_range discount.

Theorem A1_classic (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V : I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  A1_claim (gap w (fun f => return_of m (V f)))
    (train_mass w) (robustness w pi) (reward_range m) (discount m).
Proof. exact: gap_classic. Qed.

(** ** A2: sharp. The best bound that R, gamma and Delta allow; a two-state world attains it. *)

Definition A2_bound (F : realFieldType) (train_mass robustness reward_range discount : F) : F :=
  (1 - train_mass) * robustness * reward_range
    / ((1 - discount) * (1 - discount * (1 - robustness))).

Definition A2_claim (F : realFieldType)
    (gap train_mass robustness reward_range discount : F) : bool :=
  gap <= A2_bound train_mass robustness reward_range discount.

Theorem A2_sharp (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V : I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  A2_claim (gap w (fun f => return_of m (V f)))
    (train_mass w) (robustness w pi) (reward_range m) (discount m).
Proof. exact: gap_sharp. Qed.

Theorem A2_sharp_any_R (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V : I -> S -> F) (R : F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f g s, in_training w f -> ~~ in_training w g -> tv (pi f s) (pi g s) <= R) ->
  A2_claim (gap w (fun f => return_of m (V f))) (train_mass w) R (reward_range m) (discount m).
Proof. exact: gap_sharp_any_R. Qed.

(** For two policies, in every state. *)
Theorem A2_sharp_in_every_state (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (V V' : S -> F) (R : F) (s : S) :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  (forall s, tv (pi s) (pi' s) <= R) ->
  `|V s - V' s| <=
    R * reward_range m / ((1 - discount m) * (1 - discount m * (1 - R))).
Proof. exact: state_sharp. Qed.

(** Attained by two policies for all numbers, with total variation R in every state. *)
Theorem A2_sharp_attained (F : realFieldType) (gamma lo hi R : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> R <= 1 -> lo <= hi ->
  exists (m : mdp F boolF boolF) (pi pi' : boolF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      (exists s a, reward m s a = lo) /\ (exists s a, reward m s a = hi),
      policy pi /\ policy pi',
      forall s, tv (pi s) (pi' s) = R &
      forall V V', is_value m pi V -> is_value m pi' V' ->
        return_of m V - return_of m V' =
          R * (hi - lo) / ((1 - gamma) * (1 - gamma * (1 - R)))].
Proof. exact: sharp_attained. Qed.

(** Attained by the gap, for every mass of the training renderings. *)
Theorem A2_sharp_attained_gap (F : realFieldType) (gamma lo hi R M : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> R <= 1 -> lo <= hi -> 0 < M -> M <= 1 ->
  exists (m : mdp F boolF boolF) (w : family F boolF) (pi : boolF -> boolF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      train_mass w = M,
      forall f, policy (pi f),
      robustness w pi = R &
      forall V, (forall f, is_value m (pi f) (V f)) ->
        gap w (fun f => return_of m (V f)) =
          (1 - M) * (R * (hi - lo) / ((1 - gamma) * (1 - gamma * (1 - R))))].
Proof. exact: sharp_attained_gap. Qed.

(** It increases with R. *)
Theorem A2_sharp_increases (F : realFieldType) (gamma Delta R R' : F) :
  0 <= gamma -> gamma < 1 -> 0 < Delta -> 0 <= R -> R < R' ->
  R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) <
    R' * Delta / ((1 - gamma) * (1 - gamma * (1 - R'))).
Proof. exact: sharp_lt. Qed.

(** A2 <= min(A0, A1), and A2 < A1 wherever something is at stake. *)
Theorem A2_sharp_below_A0 (F : realFieldType) (discount reward_range robustness train_mass : F) :
  0 <= discount -> discount < 1 -> 0 <= reward_range -> 0 <= robustness -> robustness <= 1 ->
  train_mass <= 1 ->
  A2_bound train_mass robustness reward_range discount <=
    A0_bound train_mass reward_range discount.
Proof. exact: gap_sharp_le_coverage. Qed.

Theorem A2_sharp_below_A1 (F : realFieldType) (discount reward_range robustness train_mass : F) :
  0 <= discount -> discount < 1 -> 0 <= reward_range -> 0 <= robustness -> train_mass <= 1 ->
  A2_bound train_mass robustness reward_range discount <=
    A1_bound train_mass robustness reward_range discount.
Proof. exact: gap_sharp_le_classic. Qed.

Theorem A2_sharp_strictly_below_A1 (F : realFieldType)
    (discount reward_range robustness train_mass : F) :
  0 < discount -> discount < 1 -> 0 < reward_range -> 0 < robustness -> train_mass < 1 ->
  A2_bound train_mass robustness reward_range discount <
    A1_bound train_mass robustness reward_range discount.
Proof. exact: gap_sharp_lt_classic. Qed.

(** ** A3: on-policy. The gap is at most linear in the on-policy mean of the total variation. *)

Definition A3_bound (F : realFieldType)
    (train_mass mean_robustness reward_range discount : F) : F :=
  (1 - train_mass) * mean_robustness * reward_range / (1 - discount) ^+ 2.

Definition A3_claim (F : realFieldType)
    (gap train_mass mean_robustness reward_range discount : F) : bool :=
  gap <= A3_bound train_mass mean_robustness reward_range discount.

Theorem A3_on_policy (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V d : I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f, is_occupancy m (pi f) (d f)) ->
  A3_claim (gap w (fun f => return_of m (V f)))
    (train_mass w) (mean_robustness m w pi d) (reward_range m) (discount m).
Proof. exact: gap_on_policy. Qed.

Theorem A3_on_policy_attained (F : realFieldType) (gamma lo hi x M : F) :
  0 <= gamma -> gamma < 1 -> 0 <= x -> x <= 1 -> lo <= hi -> 0 < M -> M < 1 ->
  exists (m : mdp F optionF boolF) (w : family F boolF) (pi : boolF -> optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      train_mass w = M,
      forall f, policy (pi f) &
      forall V d, (forall f, is_value m (pi f) (V f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
        mean_robustness m w pi d = (1 - gamma) * x /\
        gap w (fun f => return_of m (V f)) =
          A3_bound M (mean_robustness m w pi d) (hi - lo) gamma].
Proof. exact: on_policy_attained_gap. Qed.

(** For two policies and any mean up to 1, the lesser of A0 and A3 is attained. *)
Theorem A3_on_policy_attained_up_to_coverage (F : realFieldType) (gamma lo hi Rbar : F) :
  0 <= gamma -> gamma < 1 -> 0 <= Rbar -> Rbar <= 1 -> lo <= hi ->
  exists (m : mdp F optionF boolF) (pi pi' : optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      policy pi /\ policy pi' &
      forall V V' d, is_value m pi V -> is_value m pi' V' -> is_occupancy m pi d ->
        (1 - gamma) * visited_tv d pi pi' = Rbar /\
        return_of m V - return_of m V' =
          Num.min ((hi - lo) / (1 - gamma)) (Rbar * (hi - lo) / (1 - gamma) ^+ 2)].
Proof. exact: coverage_on_policy_attained. Qed.

(** The mean may not stand in A2's formula. *)
Theorem A3_on_policy_mean_in_sharp_is_false (F : realFieldType) (gamma lo hi x M : F) :
  0 < gamma -> gamma < 1 -> 0 < x -> x <= 1 -> lo < hi -> 0 < M -> M < 1 ->
  exists (m : mdp F optionF boolF) (w : family F boolF) (pi : boolF -> optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      train_mass w = M,
      forall f, policy (pi f) &
      forall V d, (forall f, is_value m (pi f) (V f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
        let Rbar := mean_robustness m w pi d in
        (1 - M) * (Rbar * (hi - lo) / ((1 - gamma) * (1 - gamma * (1 - Rbar)))) <
          gap w (fun f => return_of m (V f))].
Proof. exact: mean_in_sharp_gap_is_false. Qed.

(** ** A4: coupling. The gap is paid only after two coupled trajectories separate. *)

Definition A4_bound (F : realFieldType) (train_mass decoupling reward_range discount : F) : F :=
  (1 - train_mass) * decoupling * reward_range / (1 - discount).

Definition A4_claim (F : realFieldType)
    (gap train_mass decoupling reward_range discount : F) : bool :=
  gap <= A4_bound train_mass decoupling reward_range discount.

Theorem A4_coupling (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V : I -> S -> F) (c : I -> I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  A4_claim (gap w (fun f => return_of m (V f)))
    (train_mass w) (mean_separation m w c) (reward_range m) (discount m).
Proof. exact: gap_coupling. Qed.

(** ** A5: occupancy. The gap is at most the mean distance of the occupancies; for each pair of
    renderings no better bound holds for all rewards. *)

Definition A5_bound (F : realFieldType) (train_mass occupancy_distance reward_range : F) : F :=
  (1 - train_mass) * reward_range * occupancy_distance.

Definition A5_claim (F : realFieldType)
    (gap train_mass occupancy_distance reward_range : F) : bool :=
  gap <= A5_bound train_mass occupancy_distance reward_range.

Theorem A5_occupancy (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (V d : I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f, is_occupancy m (pi f) (d f)) ->
  A5_claim (gap w (fun f => return_of m (V f)))
    (train_mass w) (mean_occupancy_distance w pi d) (reward_range m).
Proof. exact: gap_occupancy. Qed.

(** Attained, for two policies with any dynamics, by a reward within the bounds. *)
Theorem A5_occupancy_attained (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (d d' : S -> F) :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_occupancy m pi' d' ->
  exists m' : mdp F S A,
    [/\ transition m' = transition m, initial m' = initial m, discount m' = discount m,
        reward_min m' = reward_min m & reward_max m' = reward_max m] /\
    forall V V', is_value m' pi V -> is_value m' pi' V' ->
      return_of m' V - return_of m' V' = reward_range m * occupancy_distance pi d pi' d'.
Proof. exact: occupancy_attained. Qed.

(** A5 <= A4 <= min(A2, A3). *)
Theorem A5_occupancy_ladder (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi : I -> S -> A -> F) (d : I -> S -> F) (c : I -> I -> S -> F) :
  let M := train_mass w in
  let Delta := reward_range m in
  let gamma := discount m in
  let C := mean_separation m w c in
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  [/\ A5_bound M (mean_occupancy_distance w pi d) Delta <= A4_bound M C Delta gamma,
      A4_bound M C Delta gamma <= A2_bound M (robustness w pi) Delta gamma &
      A4_bound M C Delta gamma <= A3_bound M (mean_robustness m w pi d) Delta gamma].
Proof. exact: gap_ladder. Qed.

(** The same without the factors that the bounds have in common; and the on-policy mean is at most
    the maximum, *)
Theorem A5_occupancy_order_of_quantities (F : realFieldType) (I S A : finType) (m : mdp F S A)
    (w : family F I) (pi : I -> S -> A -> F) (d : I -> S -> F) (c : I -> I -> S -> F) :
  let W := mean_occupancy_distance w pi d in
  let C := mean_separation m w c in
  let R := robustness w pi in
  let Rbar := mean_robustness m w pi d in
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  [/\ W <= C / (1 - discount m), C <= R / (1 - discount m * (1 - R)),
      C <= Rbar / (1 - discount m) & Rbar <= R].
Proof. exact: mean_ladder. Qed.

(** at most the chance to separate, *)
Theorem A5_occupancy_mean_robustness_below_separation (F : realFieldType) (I S A : finType)
    (m : mdp F S A) (w : family F I) (pi : I -> S -> A -> F) (d : I -> S -> F)
    (c : I -> I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  mean_robustness m w pi d <= mean_separation m w c.
Proof. exact: mean_robustness_le_separation. Qed.

(** and at most twice the normalised distance of the occupancies. *)
Theorem A5_occupancy_mean_robustness_below_distance (F : realFieldType) (I S A : finType)
    (m : mdp F S A) (w : family F I) (pi : I -> S -> A -> F) (d : I -> S -> F) :
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  mean_robustness m w pi d <= 2%:R * (1 - discount m) * mean_occupancy_distance w pi d.
Proof. exact: mean_robustness_le_occupancy. Qed.

(** ** A6: training. The training return is at least the surrogate minus a penalty for the step. *)

Definition A6_bound (F : realFieldType) (surrogate advantage_bound train_shift discount : F) : F :=
  surrogate - 2%:R * discount * advantage_bound / (1 - discount) ^+ 2 * train_shift.

Definition A6_claim (F : realFieldType)
    (train_return surrogate advantage_bound train_shift discount : F) : bool :=
  A6_bound surrogate advantage_bound train_shift discount <= train_return.

(** [pi0] is updated to [pi1]. *)
Theorem A6_training (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi0 pi1 : I -> S -> A -> F) (V0 V1 d0 : I -> S -> F) :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  A6_claim (train_mean w (fun f => return_of m (V1 f))) (surrogate m w V0 d0 pi1)
    (advantage_bound m w V0 pi1) (train_shift m w d0 pi1 pi0) (discount m).
Proof. exact: training_bound_max. Qed.

Theorem A6_training_two_sided (F : realFieldType) (I S A : finType) (m : mdp F S A)
    (w : family F I) (pi0 pi1 : I -> S -> A -> F) (V0 V1 d0 : I -> S -> F) :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  `|train_mean w (fun f => return_of m (V1 f)) - surrogate m w V0 d0 pi1| <=
    2%:R * discount m * advantage_bound m w V0 pi1 / (1 - discount m) ^+ 2
      * train_shift m w d0 pi1 pi0.
Proof. exact: training_two_sided_max. Qed.

(** Any bound on the advantages will do. *)
Theorem A6_training_any_advantage_bound (F : realFieldType) (I S A : finType) (m : mdp F S A)
    (w : family F I) (pi0 pi1 : I -> S -> A -> F) (V0 V1 d0 : I -> S -> F) (eps : F) :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  (forall f s, in_training w f -> `|expect (pi1 f s) (advantage m (V0 f) s)| <= eps) ->
  A6_claim (train_mean w (fun f => return_of m (V1 f))) (surrogate m w V0 d0 pi1)
    eps (train_shift m w d0 pi1 pi0) (discount m).
Proof. exact: training_bound. Qed.

(** ** A7: generalization. The general return is at least A6's right side minus A2's. *)

Definition A7_bound (F : realFieldType)
    (surrogate advantage_bound train_shift train_mass robustness reward_range discount : F) : F :=
  A6_bound surrogate advantage_bound train_shift discount
    - A2_bound train_mass robustness reward_range discount.

Definition A7_claim (F : realFieldType)
    (general_return surrogate advantage_bound train_shift train_mass robustness reward_range
     discount : F) : bool :=
  A7_bound surrogate advantage_bound train_shift train_mass robustness reward_range discount
    <= general_return.

Theorem A7_generalization (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I)
    (pi0 pi1 : I -> S -> A -> F) (V0 V1 d0 : I -> S -> F) :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  A7_claim (general_mean w (fun f => return_of m (V1 f))) (surrogate m w V0 d0 pi1)
    (advantage_bound m w V0 pi1) (train_shift m w d0 pi1 pi0)
    (train_mass w) (robustness w pi1) (reward_range m) (discount m).
Proof. exact: generalization_bound_max. Qed.

(** ** A8: robustness pays. The right side of A7 strictly decreases in R. *)

(** The slope of the line through A7's right side at two values of R; where they are equal, it is
    the derivative. *)
Definition A8_slope (F : realFieldType)
    (train_mass reward_range discount robustness robustness' : F) : F :=
  - (1 - train_mass) * reward_range
    / ((1 - discount * (1 - robustness)) * (1 - discount * (1 - robustness'))).

Definition A8_claim (F : realFieldType)
    (train_mass reward_range discount robustness robustness' : F) : bool :=
  A8_slope train_mass reward_range discount robustness robustness' < 0.

Theorem A8_robustness_pays (F : realFieldType)
    (discount reward_range train_mass robustness robustness' : F) :
  0 <= discount -> discount < 1 -> 0 < reward_range -> train_mass < 1 ->
  0 <= robustness -> 0 <= robustness' ->
  A8_claim train_mass reward_range discount robustness robustness'.
Proof. exact: slope_lt0. Qed.

Theorem A8_robustness_pays_slope (F : realFieldType)
    (discount reward_range train_mass robustness robustness'
     surrogate advantage_bound train_shift : F) :
  0 <= discount -> discount < 1 -> 0 <= robustness -> 0 <= robustness' ->
  A7_bound surrogate advantage_bound train_shift train_mass robustness' reward_range discount
  - A7_bound surrogate advantage_bound train_shift train_mass robustness reward_range discount =
    (robustness' - robustness)
      * A8_slope train_mass reward_range discount robustness robustness'.
Proof. exact: robustness_pays_slope. Qed.

Theorem A8_robustness_pays_strictly (F : realFieldType)
    (discount reward_range train_mass robustness robustness'
     surrogate advantage_bound train_shift : F) :
  0 <= discount -> discount < 1 -> 0 < reward_range -> train_mass < 1 ->
  0 <= robustness -> robustness < robustness' ->
  A7_bound surrogate advantage_bound train_shift train_mass robustness' reward_range discount <
  A7_bound surrogate advantage_bound train_shift train_mass robustness reward_range discount.
Proof. exact: robustness_pays. Qed.

(** It is about the bound: of two policies with the same training return, the less robust one may
    have the higher general return, since the held-out rendering may happen to act better. *)
Theorem A8_robustness_pays_literal_reading_is_false (F : realFieldType) (gamma : F) :
  0 <= gamma -> gamma < 1 ->
  exists (m : mdp F unitF boolF) (w : family F boolF) (pi pi' : boolF -> unitF -> boolF -> F),
  [/\ discount m = gamma,
      [/\ in_training w true, ~~ in_training w false,
          weight w true = 1 / 2%:R & weight w false = 1 / 2%:R],
      (forall f, policy (pi f)) /\ (forall f, policy (pi' f)),
      robustness w pi < robustness w pi' &
      forall V V' : boolF -> unitF -> F,
        (forall f, is_value m (pi f) (V f)) -> (forall f, is_value m (pi' f) (V' f)) ->
        let J f := return_of m (V f) in
        let J' f := return_of m (V' f) in
        train_mean w J = train_mean w J' /\ general_mean w J < general_mean w J'].
Proof. exact: literal_reading_is_false. Qed.

(** ** B1: agreement. A policy is at most as fragile as another one and twice their largest
    disagreement. *)

Definition B1_claim (F : realFieldType)
    (robustness baseline_robustness disagreement : F) : bool :=
  robustness <= baseline_robustness + 2%:R * disagreement.

Theorem B1_agreement (F : realFieldType) (I S A : finType) (w : family F I)
    (pi pi0 : I -> S -> A -> F) :
  B1_claim (robustness w pi) (robustness w pi0) (disagreement pi pi0).
Proof. exact: agreement. Qed.

(** It transfers robustness, it does not create it: two equal policies can both be fragile. *)
Theorem B1_agreement_is_not_robustness (F : realFieldType) (I S : finType) (w : family F I)
    (g : I) (s : S) :
  ~~ in_training w g ->
  exists pi1 pi2 : I -> S -> bool -> F,
    [/\ forall f, policy (pi1 f), forall f, policy (pi2 f), pi1 = pi2,
        robustness w pi1 = 1 & robustness w pi2 = 1].
Proof. exact: agreement_is_not_robustness. Qed.

(** Agreement on the training renderings alone says nothing about the held-out ones. *)
Theorem B1_agreement_on_training_is_nothing (F : realFieldType) (I S : finType) (w : family F I)
    (g : I) (s : S) :
  ~~ in_training w g ->
  exists pi1 pi2 : I -> S -> bool -> F,
    [/\ forall f, policy (pi1 f), forall f, policy (pi2 f),
        forall f s' a, in_training w f -> pi1 f s' a = pi2 f s' a,
        robustness w pi1 = 1 & robustness w pi2 = 0].
Proof. exact: agreement_on_training_is_nothing. Qed.

(** ** B2: divergence. Disagreement is at most the better of two functions of the divergence.

    [lg] is any function with the two properties of [logarithm].  Without roots and exponentials:
    the first claim is TV <= sqrt (KL / 2), the second TV <= sqrt (1 - exp (- KL)). *)

Definition B2_pinsker_claim (F : realFieldType) (disagreement divergence : F) : bool :=
  2%:R * disagreement ^+ 2 <= divergence.

Definition B2_bretagnolle_huber_claim (F : realFieldType) (lg : F -> F)
    (disagreement divergence : F) : bool :=
  - lg (1 - disagreement ^+ 2) <= divergence.

(** The divergence is that of the baseline [pi0] from the policy [pi]. *)
Theorem B2_divergence (F : realFieldType) (I S A : finType) (lg : F -> F)
    (pi0 pi : I -> S -> A -> F) :
  logarithm lg -> (forall f, policy (pi0 f)) -> (forall f, policy (pi f)) ->
  (forall f s, supported (pi0 f s) (pi f s)) ->
  B2_pinsker_claim (disagreement pi pi0) (divergence lg pi0 pi) /\
  B2_bretagnolle_huber_claim lg (disagreement pi pi0) (divergence lg pi0 pi).
Proof. exact: divergence_disagreement. Qed.

(** For two distributions. *)
Theorem B2_divergence_pinsker (F : realFieldType) (A : finType) (lg : F -> F) (p q : A -> F) :
  logarithm lg -> dist p -> dist q -> supported p q ->
  B2_pinsker_claim (tv p q) (kl lg p q).
Proof. exact: pinsker. Qed.

Theorem B2_divergence_bretagnolle_huber (F : realFieldType) (A : finType) (lg : F -> F)
    (p q : A -> F) :
  logarithm lg -> dist p -> dist q -> supported p q ->
  tv p q < 1 /\ B2_bretagnolle_huber_claim lg (tv p q) (kl lg p q).
Proof. exact: bretagnolle_huber. Qed.

Theorem B2_divergence_ge0 (F : realFieldType) (A : finType) (lg : F -> F) (p q : A -> F) :
  logarithm lg -> dist p -> dist q -> supported p q -> 0 <= kl lg p q.
Proof. exact: kl_ge0. Qed.

(** With B1: a bound on the divergence, by either function, bounds robustness. *)
Theorem B2_divergence_bounds_robustness (F : realFieldType) (I S A : finType) (lg : F -> F)
    (w : family F I) (pi0 pi : I -> S -> A -> F) (D : F) :
  logarithm lg -> (forall f, policy (pi0 f)) -> (forall f, policy (pi f)) ->
  (forall f s, supported (pi0 f s) (pi f s)) -> 0 <= D ->
  divergence lg pi0 pi <= 2%:R * D ^+ 2 \/ divergence lg pi0 pi <= - lg (1 - D ^+ 2) ->
  B1_claim (robustness w pi) (robustness w pi0) D.
Proof. exact: divergence_robustness. Qed.

(** The divergence the other way round, of the policy from the baseline, does as well. *)
Theorem B2_divergence_pinsker_bounds_robustness (F : realFieldType) (I S A : finType)
    (lg : F -> F) (w : family F I) (pi pi0 : I -> S -> A -> F) (D : F) :
  logarithm lg -> (forall f, policy (pi f)) -> (forall f, policy (pi0 f)) ->
  (forall f s, supported (pi f s) (pi0 f s)) ->
  0 <= D -> (forall f s, kl lg (pi f s) (pi0 f s) <= 2%:R * D ^+ 2) ->
  B1_claim (robustness w pi) (robustness w pi0) D.
Proof. exact: pinsker_robustness. Qed.

Theorem B2_divergence_bretagnolle_huber_bounds_robustness (F : realFieldType) (I S A : finType)
    (lg : F -> F) (w : family F I) (pi pi0 : I -> S -> A -> F) (D : F) :
  logarithm lg -> (forall f, policy (pi f)) -> (forall f, policy (pi0 f)) ->
  (forall f s, supported (pi f s) (pi0 f s)) ->
  0 <= D -> (forall f s, kl lg (pi f s) (pi0 f s) <= - lg (1 - D ^+ 2)) ->
  B1_claim (robustness w pi) (robustness w pi0) D.
Proof. exact: bretagnolle_huber_robustness. Qed.

(** ** B3: averages. The distillation loss bounds the disagreement on the states visited in
    training, on average: E TV <= sqrt (E KL / 2). *)

Definition B3_claim (F : realFieldType) (mean_disagreement mean_divergence : F) : bool :=
  2%:R * mean_disagreement ^+ 2 <= mean_divergence.

(** [d] is the occupancy of the policy [pi]. *)
Theorem B3_averages (F : realFieldType) (I S A : finType) (lg : F -> F) (m : mdp F S A)
    (w : family F I) (d : I -> S -> F) (pi0 pi : I -> S -> A -> F) :
  logarithm lg -> (forall f, policy (pi0 f)) -> (forall f, policy (pi f)) ->
  (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f s, in_training w f -> supported (pi0 f s) (pi f s)) ->
  B3_claim (mean_disagreement m w d pi0 pi) (mean_divergence lg m w d pi0 pi).
Proof. exact: average_pinsker_on_policy. Qed.

(** For any distribution over any finite set. *)
Theorem B3_averages_any_distribution (F : realFieldType) (X A : finType) (lg : F -> F)
    (v : X -> F) (p q : X -> A -> F) :
  logarithm lg -> dist v -> (forall x, dist (p x)) -> (forall x, dist (q x)) ->
  (forall x, 0 < v x -> supported (p x) (q x)) ->
  B3_claim (expect v (fun x => tv (p x) (q x))) (expect v (fun x => kl lg (p x) (q x))).
Proof. exact: average_pinsker. Qed.

(** ** B4: convexity. The mixture of the agents is at least as robust as they are on average. *)

Definition B4_claim (F : realFieldType) (mixture_robustness average_robustness : F) : bool :=
  mixture_robustness <= average_robustness.

(** Agents [k] of any finite number, with weights [v]. *)
Theorem B4_convexity (F : realFieldType) (K I S A : finType) (w : family F I)
    (v : K -> F) (pi : K -> I -> S -> A -> F) :
  dist v ->
  B4_claim (robustness w (fun f s a => \sum_k v k * pi k f s a))
    (\sum_k v k * robustness w (pi k)).
Proof. exact: mixture_robustness. Qed.

(** ** B5: softmax. Softmax policies disagree at most by tanh of a quarter of the oscillation of
    their logits' difference; two actions attain it.

    Without exponentials: [u] and [u'] are the exponentials of the logits; c = exp (osc / 2) is the
    least number for which the premise on their odds is true, and with it (c - 1) / (c + 1) is
    tanh (osc / 4). *)

Definition B5_claim (F : realFieldType) (disagreement exp_half_logit_oscillation : F) : bool :=
  disagreement <= (exp_half_logit_oscillation - 1) / (exp_half_logit_oscillation + 1).

Theorem B5_softmax (F : realFieldType) (I S A : finType) (u u' : I -> S -> A -> F) (c : F) :
  (forall f s a, 0 < u f s a) -> (forall f s a, 0 < u' f s a) -> 1 <= c ->
  (forall f s a b, u f s a * u' f s b <= c ^+ 2 * (u' f s a * u f s b)) ->
  B5_claim (disagreement (fun f s => normalised (u f s)) (fun f s => normalised (u' f s))) c.
Proof. exact: softmax_disagreement. Qed.

Theorem B5_softmax_attained (F : realFieldType) (c : F) :
  1 <= c ->
  exists u u' : bool -> F,
    [/\ forall a, 0 < u a, forall a, 0 < u' a,
        forall a b, u a * u' b <= c ^+ 2 * (u' a * u b) &
        tv (normalised u) (normalised u') = (c - 1) / (c + 1)].
Proof. exact: softmax_tv_attained. Qed.

(** Robustness of one softmax policy. *)
Theorem B5_softmax_robustness (F : realFieldType) (I S A : finType) (w : family F I)
    (u : I -> S -> A -> F) (c : F) :
  (forall f s a, 0 < u f s a) -> 1 <= c ->
  (forall f g s a b, in_training w f -> ~~ in_training w g ->
     u f s a * u g s b <= c ^+ 2 * (u g s a * u f s b)) ->
  robustness w (fun f s => normalised (u f s)) <= (c - 1) / (c + 1).
Proof. exact: softmax_robustness. Qed.

(** ** B6: shrinkage. Distillation shrinks the part of each spurious weight that the agents do not
    share; what they share, and the mean, it leaves as they are. *)

Definition B6_variance (F : realFieldType)
    (n_agents distillation task_curvature divergence_curvature pull_variance
     pull_correlation : F) : F :=
  pull_variance *
    ((1 / n_agents + (1 - 1 / n_agents) * pull_correlation)
     + (1 - 1 / n_agents) * (1 - pull_correlation)
       * (task_curvature / (task_curvature + 2%:R * distillation * divergence_curvature
           * n_agents / (n_agents - 1))) ^+ 2).

Definition B6_claim (F : realFieldType)
    (spurious_variance n_agents distillation task_curvature divergence_curvature pull_variance
     pull_correlation : F) : Prop :=
  spurious_variance = B6_variance n_agents distillation task_curvature divergence_curvature
    pull_variance pull_correlation.

(** Of agent [i] of the agents [K], [kappa] of whose deviation from the mean is left. *)
Theorem B6_shrinkage (F : realFieldType) (K : finType) (i : K) (alpha h g sigma2 rho : F) :
  B6_claim (variance sigma2 rho (kappa K h g alpha) i) (agents F K) alpha h g sigma2 rho.
Proof. exact: shrinkage_variance. Qed.

(** That is the variance at the only stationary point of the loss, for pulls [us]: *)
Theorem B6_shrinkage_unique_solution (F : realFieldType) (K : finType) (h g alpha : F)
    (us u : K -> F) :
  0 < h -> 0 < g -> 0 <= alpha ->
  stationary h g alpha us u <->
    forall i, u i = mean us + kappa K h g alpha * (us i - mean us).
Proof. exact: shrinkage_unique_solution. Qed.

(** its only minimum, *)
Theorem B6_shrinkage_minimum (F : realFieldType) (K : finType) (h g alpha : F)
    (us u : K -> F) :
  0 < h -> 0 < g -> 0 <= alpha ->
  (forall v, loss h g alpha us u <= loss h g alpha us v) <->
    forall i, u i = mean us + kappa K h g alpha * (us i - mean us).
Proof. exact: shrinkage_minimum. Qed.

(** where the pull of agent [j] counts with this coefficient. *)
Theorem B6_shrinkage_coefficients (F : realFieldType) (K : finType) (k : F) (us : K -> F) (i : K) :
  mean us + k * (us i - mean us) = \sum_j coefficient k i j * us j.
Proof. exact: shrunk_coefficients. Qed.

Theorem B6_shrinkage_mean (F : realFieldType) (K : finType) (h g alpha : F) (us u : K -> F) :
  0 < h -> 0 < g -> 0 <= alpha -> stationary h g alpha us u -> mean u = mean us.
Proof. exact: shrinkage_mean. Qed.

(** However strong the distillation, what the pulls have in common stays. *)
Theorem B6_shrinkage_floor (F : realFieldType) (K : finType) (sigma2 rho k : F) (i : K) :
  0 <= sigma2 -> rho <= 1 ->
  sigma2 * (1 / agents F K + (1 - 1 / agents F K) * rho) <= variance sigma2 rho k i.
Proof. exact: variance_floor. Qed.

(** What is left of a deviation falls from 1, and ends up below anything positive. *)
Theorem B6_shrinkage_starts_at_one (F : realFieldType) (K : finType) (h g : F) :
  0 < h -> kappa K h g 0 = 1.
Proof. exact: kappa0. Qed.

Theorem B6_shrinkage_falls (F : realFieldType) (K : finType) (h g : F) :
  0 < h -> 0 < g -> (1 < #|K|)%N -> forall alpha alpha' : F,
  0 <= alpha -> alpha < alpha' -> kappa K h g alpha' < kappa K h g alpha.
Proof. exact: kappa_lt. Qed.

Theorem B6_shrinkage_vanishes (F : realFieldType) (K : finType) (h g : F) :
  0 < h -> 0 < g -> (1 < #|K|)%N -> forall e : F,
  0 < e -> exists alpha, 0 <= alpha /\ kappa K h g alpha < e.
Proof. exact: kappa_vanishes. Qed.

(** Weight vectors, with positive definite matrices for [h] and [g]. *)
Theorem B6_shrinkage_vectors (F : realFieldType) (K : finType) (n : nat) (H G : 'M[F]_n)
    (alpha : F) (us u : K -> 'cV[F]_n) :
  positive_definite H -> positive_definite G -> 0 <= alpha ->
  stationary_vectors H G alpha us u <->
    forall i, u i = mean_vector us +
      invmx (strength K H G alpha) *m H *m (us i - mean_vector us).
Proof. exact: shrinkage_positive_definite. Qed.

Theorem B6_shrinkage_vectors_mean (F : realFieldType) (K : finType) (n : nat) (H G : 'M[F]_n)
    (alpha : F) (us u : K -> 'cV[F]_n) :
  H \in unitmx -> stationary_vectors H G alpha us u -> mean_vector u = mean_vector us.
Proof. exact: shrinkage_vectors_mean. Qed.
