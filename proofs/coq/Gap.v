(** The generalization gap: an identity, A0 to A5 for a family of renderings, their order. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Values Ladder Robustness.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Lemma sharp_denominator_gt0 (F : realFieldType) (gamma R : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> 0 < 1 - gamma * (1 - R).
Proof.
move=> g0 g1 R0; rewrite (_ : _ - _ = 1 - gamma + gamma * R); last by ring.
by rewrite ltr_paddr ?mulr_ge0 ?subr_gt0.
Qed.

(** ** Means over renderings *)

Section Means.

Variables (F : realFieldType) (I : finType) (w : family F I).
Implicit Types (x y : I -> I -> F) (J : I -> F) (b k : F).
Notation M := (train_mass w).
Notation T := (in_training w).

(** Mean over the held-out renderings; 0 if nothing is held out. *)
Definition heldout_mean J : F := (\sum_(g | ~~ T g) weight w g * J g) / (1 - M).

Lemma weight_ge0 f : 0 <= weight w f.
Proof. by case: (weight_dist w). Qed.

Lemma heldout_mass : \sum_(g | ~~ T g) weight w g = 1 - M.
Proof. by case: (weight_dist w) => _ <-; rewrite [in RHS](bigID T) /= addrC addKr. Qed.

Lemma train_mass_le1 : M <= 1.
Proof. by rewrite -subr_ge0 -heldout_mass sumr_ge0 // => g _; apply: weight_ge0. Qed.

Lemma heldout_mass_ge0 : 0 <= 1 - M.
Proof. by rewrite subr_ge0 train_mass_le1. Qed.

Lemma train_mass_neq0 : M != 0.
Proof. exact: lt0r_neq0 (train_mass_gt0 w). Qed.

(** Where nothing is held out, held-out renderings have no weight. *)
Lemma heldout_sum0 J : M = 1 -> \sum_(g | ~~ T g) weight w g * J g = 0.
Proof.
move=> M1; apply: big1 => g gH; have := heldout_mass; rewrite M1 subrr => /psumr_eq0P -> //.
  by rewrite mul0r.
by move=> f _; apply: weight_ge0.
Qed.

Lemma train_sum J : \sum_(f | T f) weight w f * J f = M * train_mean w J.
Proof. by rewrite /train_mean mulrC divfK // train_mass_neq0. Qed.

Lemma heldout_sum J : \sum_(g | ~~ T g) weight w g * J g = (1 - M) * heldout_mean J.
Proof.
have [M1|M1] := eqVneq M 1; first by rewrite heldout_sum0 // M1 subrr mul0r.
by rewrite /heldout_mean mulrC divfK // subr_eq0 eq_sym.
Qed.

(** zeta - eta = (1 - M)(xi - eta); where M = 1 both sides are 0. *)
Lemma gap_identity J :
  general_mean w J - train_mean w J = (1 - M) * (heldout_mean J - train_mean w J).
Proof. by rewrite /general_mean /expect (bigID T) /= train_sum heldout_sum; ring. Qed.

Lemma gap_eq0 J : M = 1 -> gap w J = 0.
Proof. by move=> M1; rewrite /gap gap_identity M1 subrr mul0r normr0. Qed.

(** *** Means over the training renderings *)

Lemma train_mean_le J J' :
  (forall f, T f -> J f <= J' f) -> train_mean w J <= train_mean w J'.
Proof.
move=> JJ'; rewrite ler_wpmul2r ?invr_ge0 ?(ltW (train_mass_gt0 w)) //.
by apply: ler_sum => f fT; rewrite ler_wpmul2l ?weight_ge0 ?JJ'.
Qed.

Lemma train_meanD J J' : train_mean w (fun f => J f + J' f) = train_mean w J + train_mean w J'.
Proof.
rewrite /train_mean -mulrDl -big_split; congr (_ / _).
by apply: eq_bigr => f _; rewrite mulrDr.
Qed.

Lemma train_meanZ k J : train_mean w (fun f => k * J f) = k * train_mean w J.
Proof.
rewrite /train_mean mulrA mulr_sumr; congr (_ / _).
by apply: eq_bigr => f _; rewrite mulrCA.
Qed.

Lemma train_meanN J : train_mean w (fun f => - J f) = - train_mean w J.
Proof. by rewrite -mulN1r -train_meanZ; congr (_ / _); apply: eq_bigr => f _; rewrite mulN1r. Qed.

Lemma train_mean_norm J : `|train_mean w J| <= train_mean w (fun f => `|J f|).
Proof.
rewrite ler_norml -train_meanN !train_mean_le // => f _; first exact: ler_norm.
by rewrite ler_oppl -normrN ler_norm.
Qed.

(** *** Means over the pairs of a training and a held-out rendering *)

Lemma pair_mass_ge0 : 0 <= M * (1 - M).
Proof. by rewrite mulr_ge0 ?heldout_mass_ge0 ?(ltW (train_mass_gt0 w)). Qed.

Lemma pair_mean_le x y :
  (forall f g, T f -> ~~ T g -> x f g <= y f g) -> pair_mean w x <= pair_mean w y.
Proof.
move=> xy; rewrite ler_wpmul2r ?invr_ge0 ?pair_mass_ge0 //.
apply: ler_sum => f fT; apply: ler_sum => g gH.
by rewrite ler_wpmul2l ?mulr_ge0 ?weight_ge0 ?xy.
Qed.

Lemma pair_meanZ k x : pair_mean w (fun f g => k * x f g) = k * pair_mean w x.
Proof.
rewrite /pair_mean mulrA mulr_sumr; congr (_ / _); apply: eq_bigr => f _.
by rewrite mulr_sumr; apply: eq_bigr => g _; rewrite mulrCA.
Qed.

Lemma pair_mean0 x : M = 1 -> pair_mean w x = 0.
Proof. by move=> M1; rewrite /pair_mean M1 subrr mulr0 invr0 mulr0. Qed.

Lemma pair_mean_const b : M < 1 -> pair_mean w (fun _ _ => b) = b.
Proof.
move=> M1; have ne: M * (1 - M) != 0 by rewrite mulf_neq0 ?train_mass_neq0 // subr_eq0 gt_eqF.
apply: (canLR (mulfK ne)); rewrite -heldout_mass mulrA [b * _]mulr_sumr mulr_suml.
apply: eq_bigr => f _; rewrite mulr_sumr.
by apply: eq_bigr => g _; rewrite mulrC mulrA.
Qed.

Lemma pair_mean_le_const x b :
  0 <= b -> (forall f g, T f -> ~~ T g -> x f g <= b) -> pair_mean w x <= b.
Proof.
move=> b0 xb; have [M1|M1] := eqVneq M 1; first by rewrite pair_mean0.
by rewrite -[b]pair_mean_const ?pair_mean_le // lt_neqAle M1 train_mass_le1.
Qed.

(** xi - eta is the mean of the differences over pairs. *)
Lemma pair_mean_difference J :
  M < 1 -> pair_mean w (fun f g => J g - J f) = heldout_mean J - train_mean w J.
Proof.
move=> M1; have M0: 1 - M != 0 by rewrite subr_eq0 gt_eqF.
have ne: M * (1 - M) != 0 by rewrite mulf_neq0 ?train_mass_neq0.
apply: (canLR (mulfK ne)).
transitivity (M * ((1 - M) * heldout_mean J) - (1 - M) * (M * train_mean w J)); last by ring.
rewrite -heldout_sum -train_sum -heldout_mass /train_mass mulr_suml [X in _ - X]mulrC mulr_suml.
rewrite -sumrB; apply: eq_bigr => f _; rewrite !mulr_sumr -sumrB.
by apply: eq_bigr => g _; ring.
Qed.

Theorem gap_le_pair_mean J : gap w J <= (1 - M) * pair_mean w (fun f g => `|J f - J g|).
Proof.
have [M1|M1] := eqVneq M 1; first by rewrite gap_eq0 // M1 subrr mul0r.
have M1': M < 1 by rewrite lt_neqAle M1 train_mass_le1.
rewrite /gap gap_identity normrM ger0_norm ?heldout_mass_ge0 // ler_wpmul2l ?heldout_mass_ge0 //.
rewrite -pair_mean_difference // ler_norml -mulN1r -pair_meanZ !pair_mean_le // => f g _ _.
  by rewrite distrC ler_norm.
by rewrite mulN1r ler_oppl opprB ler_norm.
Qed.

(** A bound for every pair bounds the gap by its mean. *)
Lemma gap_le_mean J x :
  (forall f g, T f -> ~~ T g -> `|J f - J g| <= x f g) -> gap w J <= (1 - M) * pair_mean w x.
Proof.
move=> Jx; apply: le_trans (gap_le_pair_mean J) _.
by rewrite ler_wpmul2l ?heldout_mass_ge0 ?pair_mean_le.
Qed.

Lemma gap_le_const J b :
  (forall f g, T f -> ~~ T g -> `|J f - J g| <= b) -> gap w J <= (1 - M) * b.
Proof.
move=> Jb; have [M1|M1] := eqVneq M 1; first by rewrite gap_eq0 // M1 subrr mul0r.
by rewrite -(@pair_mean_const b) ?gap_le_mean // lt_neqAle M1 train_mass_le1.
Qed.

End Means.

(** ** A0 to A5 for the gap *)

Section Gap.

Variables (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (V d : I -> S -> F) (c : I -> I -> S -> F).
Notation gamma := (discount m).
Notation Delta := (reward_range m).
Notation M := (train_mass w).

(** R-bar: the total variation on the states that the training renderings visit. *)
Definition mean_robustness pi d : F :=
  (1 - gamma) * pair_mean w (fun f g => visited_tv (d f) (pi f) (pi g)).

(** The mean probability, discounted, that coupled trajectories separate. *)
Definition mean_separation c : F := pair_mean w (fun f g => return_of m (c f g)).

Definition mean_occupancy_distance pi d : F :=
  pair_mean w (fun f g => occupancy_distance (pi f) (d f) (pi g) (d g)).

Let horizon_neq0 : 1 - gamma != 0.
Proof. exact: lt0r_neq0 (horizon_gt0 m). Qed.

(** A0 *)
Theorem gap_coverage pi V :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  gap w (fun f => return_of m (V f)) <= (1 - M) * Delta / (1 - gamma).
Proof.
move=> P PV; rewrite -mulrA; apply: gap_le_const => f g _ _.
exact: pair_coverage (P f) (P g) (PV f) (PV g).
Qed.

(** A1 *)
Theorem gap_classic pi V :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  gap w (fun f => return_of m (V f)) <=
    (1 - M) * robustness w pi * Delta / (1 - gamma) ^+ 2.
Proof.
move=> P PV; rewrite -!mulrA [robustness _ _ * _]mulrA; apply: gap_le_const => f g fT gH.
apply: pair_classic (P f) (P g) (PV f) (PV g) _ => s.
exact: tv_le_robustness.
Qed.

(** A2 for any R that bounds the pairs of a training and a held-out rendering. *)
Theorem gap_sharp_any_R pi V R :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f g s, in_training w f -> ~~ in_training w g -> tv (pi f s) (pi g s) <= R) ->
  gap w (fun f => return_of m (V f)) <=
    (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))).
Proof.
move=> P PV piR; rewrite -!mulrA [R * _]mulrA -/(sharp gamma Delta R).
apply: gap_le_const => f g fT gH.
by apply: pair_sharp (P f) (P g) (PV f) (PV g) _ => s; apply: piR.
Qed.

(** A2 *)
Theorem gap_sharp pi V :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  gap w (fun f => return_of m (V f)) <=
    (1 - M) * robustness w pi * Delta / ((1 - gamma) * (1 - gamma * (1 - robustness w pi))).
Proof.
by move=> P PV; apply: gap_sharp_any_R => // f g s; apply: tv_le_robustness.
Qed.

(** A3 *)
Theorem gap_on_policy pi V d :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f, is_occupancy m (pi f) (d f)) ->
  gap w (fun f => return_of m (V f)) <=
    (1 - M) * mean_robustness pi d * Delta / (1 - gamma) ^+ 2.
Proof.
move=> P PV Pd.
have -> : (1 - M) * mean_robustness pi d * Delta / (1 - gamma) ^+ 2 =
    (1 - M) * (Delta / (1 - gamma) * pair_mean w (fun f g => visited_tv (d f) (pi f) (pi g))).
  by rewrite /mean_robustness; move: (pair_mean _ _) => x; field.
rewrite -pair_meanZ; apply: gap_le_mean => f g _ _.
exact: pair_on_policy (P f) (P g) (PV f) (PV g) (Pd f).
Qed.

(** A4 *)
Theorem gap_coupling pi V c :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  gap w (fun f => return_of m (V f)) <= (1 - M) * mean_separation c * Delta / (1 - gamma).
Proof.
move=> P PV Pc.
have -> : (1 - M) * mean_separation c * Delta / (1 - gamma) =
    (1 - M) * (Delta / (1 - gamma) * mean_separation c).
  by move: (mean_separation c) => x; ring.
rewrite -pair_meanZ; apply: gap_le_mean => f g _ _; rewrite mulrC mulrA.
exact: pair_coupling (P f) (P g) (PV f) (PV g) (Pc f g).
Qed.

(** A5 *)
Theorem gap_occupancy pi V d :
  (forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->
  (forall f, is_occupancy m (pi f) (d f)) ->
  gap w (fun f => return_of m (V f)) <= (1 - M) * Delta * mean_occupancy_distance pi d.
Proof.
move=> P PV Pd; rewrite -mulrA -pair_meanZ; apply: gap_le_mean => f g _ _.
exact: pair_occupancy (P f) (P g) (PV f) (PV g) (Pd f) (Pd g).
Qed.

End Gap.

(** ** On-policy total variation, separation and occupancies of a pair *)

Section OnPolicy.

Variables (F : realFieldType) (S A : finType) (m : mdp F S A).
Implicit Types (pi : S -> A -> F) (V d c x : S -> F).
Notation gamma := (discount m).

(** The flow equation, tested with a function of the state. *)
Lemma occupancy_test pi d x :
  is_occupancy m pi d ->
  return_of m x =
    \sum_s d s * (x s - gamma * expect (pi s) (fun a => expect (transition m s a) x)).
Proof.
move=> Pd; transitivity (\sum_s d s * x s - gamma * \sum_s d s *
    expect (pi s) (fun a => expect (transition m s a) x)); last first.
  rewrite mulr_sumr -sumrB; apply: eq_bigr => s _.
  by move: (expect _ _) => y; ring.
apply/eqP; rewrite eq_sym subr_eq; apply/eqP.
transitivity (\sum_s (initial m s * x s +
    gamma * (\sum_t d t * expect (pi t) (fun a => transition m t a s)) * x s)).
  by apply: eq_bigr => s _; rewrite {1}Pd mulrDl.
rewrite big_split /=; congr (_ + _).
under eq_bigr do rewrite -mulrA mulr_suml.
rewrite -mulr_sumr; congr (_ * _); rewrite exchange_big; apply: eq_bigr => s _ /=.
under eq_bigr do rewrite -mulrA; rewrite -mulr_sumr; congr (_ * _).
rewrite /expect; under eq_bigr do rewrite mulr_suml.
rewrite exchange_big; apply: eq_bigr => a _; rewrite mulr_sumr.
by apply: eq_bigr => t _; rewrite mulrA.
Qed.

Lemma visited_tv_le pi pi' d R :
  policy pi -> is_occupancy m pi d -> (forall s, tv (pi s) (pi' s) <= R) ->
  (1 - gamma) * visited_tv d pi pi' <= R.
Proof.
move=> P Pd piR; have h0 := horizon_gt0 m.
have -> : R = (1 - gamma) * (1 / (1 - gamma) * R).
  by rewrite mulrA [_ * (1 / _)]mulrC divfK ?mul1r ?lt0r_neq0.
rewrite ler_wpmul2l ?(ltW h0) // -(occupancy_mass P Pd) mulr_suml.
by apply: ler_sum => s _; rewrite ler_wpmul2l ?piR ?(occupancy_ge0 s P Pd).
Qed.

(** What the first policy meets overall is at most what it meets until the separation. *)
Lemma visited_tv_le_coupling pi pi' d c :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_separation m pi pi' c ->
  (1 - gamma) * visited_tv d pi pi' <= return_of m c.
Proof.
move=> P P' Pd Pc; rewrite (occupancy_test c Pd) mulr_sumr; apply: ler_sum => s _.
rewrite mulrCA ler_wpmul2l ?(occupancy_ge0 s P Pd) // {1}Pc mulrBl mul1r -addrA ler_add2l.
rewrite -mulrBr -mulrN ler_wpmul2l ?discount_ge0 // ler_subr_addl ler_subl_addl -ler_subl_addr.
have -> : tv (pi s) (pi' s) = \sum_a (pi s a - Num.min (pi s a) (pi' s a)).
  by rewrite sumrB sum_min //; case: (P s) => _ ->; rewrite opprB addrC subrK.
rewrite -sumrB; apply: ler_sum => a _; rewrite -mulrBl ler_pimulr ?subr_ge0 ?le_minl ?lexx //.
have c01 t : 0 <= c t <= 1 by apply: separation_bounds Pc.
by case/andP: (expect_between (transition_dist m s a) c01).
Qed.

(** R-bar is at most twice the normalised occupancy distance. *)
Lemma visited_tv_le_occupancy pi pi' d d' :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_occupancy m pi' d' ->
  visited_tv d pi pi' <= 2%:R * occupancy_distance pi d pi' d'.
Proof.
move=> P P' Pd Pd'; rewrite /occupancy_distance [2%:R * _]mulrC divfK ?pnatr_eq0 //.
apply: ler_sum => s _; set x := \sum_a _.
have d0 := occupancy_ge0 s P Pd.
rewrite /tv mulrA ler_pdivr_mulr ?ltr0Sn // -{1}(ger0_norm d0) mulr_sumr mulr_natr mulr2n.
have dd' : `|d' s - d s| <= x.
  have -> : d' s - d s = \sum_a (d' s * pi' s a - d s * pi s a).
    by rewrite sumrB -!mulr_sumr; case: (P s) (P' s) => _ -> [_ ->]; rewrite !mulr1.
  by apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => a _; rewrite distrC.
apply: le_trans (ler_add (lexx x) dd'); rewrite -[`|d' s - d s|]mulr1.
case: (P' s) => pi0 <-; rewrite mulr_sumr -big_split; apply: ler_sum => a _ /=.
rewrite -[X in _ <= _ + _ * X](ger0_norm (pi0 a)) -!normrM.
have -> : d s * (pi s a - pi' s a) =
    (d s * pi s a - d' s * pi' s a) + (d' s - d s) * pi' s a by ring.
exact: ler_norm_add.
Qed.

End OnPolicy.

(** ** The averaged ladder *)

Section MeanLadder.

Variables (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (d : I -> S -> F) (c : I -> I -> S -> F).
Notation gamma := (discount m).

Theorem mean_ladder pi d c :
  let W := mean_occupancy_distance w pi d in
  let C := mean_separation m w c in
  let R := robustness w pi in
  let Rbar := mean_robustness m w pi d in
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  [/\ W <= C / (1 - gamma), C <= R / (1 - gamma * (1 - R)),
      C <= Rbar / (1 - gamma) & Rbar <= R].
Proof.
move=> W C R Rbar P Pd Pc; have h0 := horizon_gt0 m.
have R0 : 0 <= R := robustness_ge0 w pi.
have piR f g : in_training w f -> ~~ in_training w g -> forall s, tv (pi f s) (pi g s) <= R.
  by move=> fT gH s; apply: tv_le_robustness.
split.
- rewrite mulrC -pair_meanZ; apply: pair_mean_le => f g _ _; rewrite mulrC.
  exact: occupancy_le_coupling (P f) (P g) (Pd f) (Pd g) (Pc f g).
- apply: pair_mean_le_const => [|f g fT gH].
    by rewrite divr_ge0 // ltW // sharp_denominator_gt0 ?discount_ge0 ?discount_lt1.
  exact: coupling_le_sharp (P f) (P g) (Pc f g) (piR f g fT gH).
- rewrite /Rbar /mean_robustness mulrC mulKf ?lt0r_neq0 //; apply: pair_mean_le => f g _ _.
  exact: coupling_le_on_policy (P f) (P g) (Pd f) (Pc f g).
- rewrite /Rbar /mean_robustness -pair_meanZ; apply: pair_mean_le_const => // f g fT gH.
  exact: visited_tv_le (P f) (Pd f) (piR f g fT gH).
Qed.

(** R-bar is at most C. *)
Theorem mean_robustness_le_separation pi d c :
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  mean_robustness m w pi d <= mean_separation m w c.
Proof.
move=> P Pd Pc; rewrite /mean_robustness -pair_meanZ; apply: pair_mean_le => f g _ _.
exact: visited_tv_le_coupling (P f) (P g) (Pd f) (Pc f g).
Qed.

(** R-bar is at most twice the normalised W. *)
Theorem mean_robustness_le_occupancy pi d :
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  mean_robustness m w pi d <= 2%:R * (1 - gamma) * mean_occupancy_distance w pi d.
Proof.
move=> P Pd; rewrite -mulrA mulrCA /mean_robustness ler_wpmul2l ?(ltW (horizon_gt0 m)) //.
rewrite -pair_meanZ; apply: pair_mean_le => f g _ _.
exact: visited_tv_le_occupancy (P f) (P g) (Pd f) (Pd g).
Qed.

End MeanLadder.

(** ** The ladder, as bounds on the gap *)

Section Ladder.

Variables (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (d : I -> S -> F) (c : I -> I -> S -> F).
Notation gamma := (discount m).
Notation Delta := (reward_range m).
Notation M := (train_mass w).

Lemma family_reward_range_ge0 pi : (forall f, policy (pi f)) -> 0 <= Delta.
Proof.
by move=> P; have [f _] := dist_inhabited (weight_dist w); apply: reward_range_ge0 (P f).
Qed.

(** A5 <= A4 <= min(A2, A3). *)
Theorem gap_ladder pi d c :
  let W := mean_occupancy_distance w pi d in
  let C := mean_separation m w c in
  let R := robustness w pi in
  let Rbar := mean_robustness m w pi d in
  (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  (forall f g, is_separation m (pi f) (pi g) (c f g)) ->
  [/\ (1 - M) * Delta * W <= (1 - M) * C * Delta / (1 - gamma),
      (1 - M) * C * Delta / (1 - gamma) <=
        (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) &
      (1 - M) * C * Delta / (1 - gamma) <= (1 - M) * Rbar * Delta / (1 - gamma) ^+ 2].
Proof.
move=> W C R Rbar P Pd Pc; have [WC CR CRbar _] := mean_ladder w P Pd Pc.
have D0 := family_reward_range_ge0 P; have h0 := ltW (horizon_gt0 m).
have MD0 : 0 <= (1 - M) * Delta by rewrite mulr_ge0 ?heldout_mass_ge0.
move: WC CR CRbar; rewrite -/W -/C -/R -/Rbar; clearbody W C R Rbar => WC CR CRbar.
have -> : (1 - M) * C * Delta / (1 - gamma) = (1 - M) * Delta * (C / (1 - gamma)) by ring.
have -> : (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) =
    (1 - M) * Delta * (R / (1 - gamma * (1 - R)) / (1 - gamma)).
  by rewrite invfM; move: (1 - gamma)^-1 (1 - gamma * (1 - R))^-1 => x y; ring.
have -> : (1 - M) * Rbar * Delta / (1 - gamma) ^+ 2 =
    (1 - M) * Delta * (Rbar / (1 - gamma) / (1 - gamma)).
  by rewrite -exprVn; move: (1 - gamma)^-1 => x; ring.
by split; rewrite ler_wpmul2l // ler_wpmul2r ?invr_ge0.
Qed.

End Ladder.

(** A2 <= min(A0, A1), and strictly below A1. *)
Section GapOrder.

Variables (F : realFieldType) (gamma Delta R M : F).

Lemma gap_sharp_le_coverage :
  0 <= gamma -> gamma < 1 -> 0 <= Delta -> 0 <= R -> R <= 1 -> M <= 1 ->
  (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) <= (1 - M) * Delta / (1 - gamma).
Proof.
move=> g0 g1 D0 R0 R1 M1; rewrite -!mulrA ler_wpmul2l ?subr_ge0 // !mulrA.
exact: sharp_le_coverage.
Qed.

Lemma gap_sharp_le_classic :
  0 <= gamma -> gamma < 1 -> 0 <= Delta -> 0 <= R -> M <= 1 ->
  (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) <=
    (1 - M) * R * Delta / (1 - gamma) ^+ 2.
Proof.
move=> g0 g1 D0 R0 M1; rewrite -!mulrA ler_wpmul2l ?subr_ge0 // !mulrA.
exact: sharp_le_classic.
Qed.

Lemma gap_sharp_lt_classic :
  0 < gamma -> gamma < 1 -> 0 < Delta -> 0 < R -> M < 1 ->
  (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) <
    (1 - M) * R * Delta / (1 - gamma) ^+ 2.
Proof.
move=> g0 g1 D0 R0 M1; rewrite -!mulrA ltr_pmul2l ?subr_gt0 // !mulrA.
exact: sharp_lt_classic.
Qed.

End GapOrder.
