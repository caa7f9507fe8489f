(** A0 to A5 for a pair of renderings, and their order. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Values.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** The factor of R in A2: R Delta / ((1-gamma)(1-gamma(1-R))). *)
Definition sharp (F : realFieldType) (gamma Delta R : F) : F :=
  R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))).

Section Order.

Variables (F : realFieldType) (gamma Delta R : F).

(** A2 as a share of A0. *)
Lemma sharpE : sharp gamma Delta R = Delta / (1 - gamma) * (R / (1 - gamma * (1 - R))).
Proof. by rewrite /sharp invfM [R * Delta]mulrC mulrACA. Qed.

(** The denominator of that share, its positive parts apart. *)
Lemma share_denominator : 1 - gamma * (1 - R) = 1 - gamma + gamma * R.
Proof. by ring. Qed.

Lemma share_denominator_gt0 : 0 <= gamma -> gamma < 1 -> 0 <= R -> 0 < 1 - gamma * (1 - R).
Proof.
by move=> g0 g1 R0; rewrite share_denominator ltr_paddr ?subr_gt0 // mulr_ge0.
Qed.

Lemma sharp_ge0 : 0 <= gamma -> gamma < 1 -> 0 <= Delta -> 0 <= R ->
  0 <= sharp gamma Delta R.
Proof.
move=> g0 g1 D0 R0; have pos := share_denominator_gt0 g0 g1 R0.
by rewrite sharpE mulr_ge0 // divr_ge0 ?(ltW pos) // subr_ge0 ltW.
Qed.

Lemma sharp_le_coverage : 0 <= gamma -> gamma < 1 -> 0 <= Delta -> 0 <= R -> R <= 1 ->
  sharp gamma Delta R <= Delta / (1 - gamma).
Proof.
move=> g0 g1 D0 R0 R1; rewrite sharpE ler_pimulr ?divr_ge0 ?subr_ge0 ?(ltW g1) //.
rewrite ler_pdivr_mulr ?share_denominator_gt0 // mul1r share_denominator.
by rewrite -ler_subl_addr -[X in X - _]mul1r -mulrBl ler_pimulr // subr_ge0 ltW.
Qed.

Lemma sharp_le_classic : 0 <= gamma -> gamma < 1 -> 0 <= Delta -> 0 <= R ->
  sharp gamma Delta R <= R * Delta / (1 - gamma) ^+ 2.
Proof.
move=> g0 g1 D0 R0; have g2 : 0 < 1 - gamma by rewrite subr_gt0.
rewrite ler_wpmul2l ?mulr_ge0 // lef_pinv ?posrE ?exprn_gt0 ?mulr_gt0 ?share_denominator_gt0 //.
by rewrite expr2 ler_pmul2l // share_denominator ler_addl mulr_ge0.
Qed.

Lemma sharp_lt_classic : 0 < gamma -> gamma < 1 -> 0 < Delta -> 0 < R ->
  sharp gamma Delta R < R * Delta / (1 - gamma) ^+ 2.
Proof.
move=> g0 g1 D0 R0; have g2 : 0 < 1 - gamma by rewrite subr_gt0.
have pos := share_denominator_gt0 (ltW g0) g1 (ltW R0).
rewrite ltr_pmul2l ?mulr_gt0 // ltf_pinv ?posrE ?exprn_gt0 ?mulr_gt0 //.
by rewrite expr2 ltr_pmul2l // share_denominator ltr_addl mulr_gt0.
Qed.

End Order.

(** A2 increases with R, and strictly so where Delta > 0; neither R need be at most 1. *)
Lemma sharp_le (F : realFieldType) (gamma Delta R R' : F) :
  0 <= gamma -> gamma < 1 -> 0 <= Delta -> 0 <= R -> R <= R' ->
  sharp gamma Delta R <= sharp gamma Delta R'.
Proof.
move=> g0 g1 D0 R0 RR; have R0' := le_trans R0 RR; have g2 : 0 < 1 - gamma by rewrite subr_gt0.
rewrite !sharpE ler_wpmul2l ?divr_ge0 ?(ltW g2) //.
rewrite ler_pdivr_mulr ?share_denominator_gt0 // mulrAC ler_pdivl_mulr ?share_denominator_gt0 //.
rewrite -subr_ge0 [X in 0 <= X](_ : _ = (R' - R) * (1 - gamma)); last by ring.
by rewrite mulr_ge0 ?subr_ge0 // ltW.
Qed.

Lemma sharp_lt (F : realFieldType) (gamma Delta R R' : F) :
  0 <= gamma -> gamma < 1 -> 0 < Delta -> 0 <= R -> R < R' ->
  sharp gamma Delta R < sharp gamma Delta R'.
Proof.
move=> g0 g1 D0 R0 RR; have R0' := le_trans R0 (ltW RR).
have g2 : 0 < 1 - gamma by rewrite subr_gt0.
rewrite !sharpE ltr_pmul2l ?divr_gt0 //.
rewrite ltr_pdivr_mulr ?share_denominator_gt0 // mulrAC ltr_pdivl_mulr ?share_denominator_gt0 //.
rewrite -subr_gt0 [X in 0 < X](_ : _ = (R' - R) * (1 - gamma)); last by ring.
by rewrite mulr_gt0 ?subr_gt0.
Qed.

(** ** The two occupancies, state by action *)

Section Flows.

Variables (F : realFieldType) (S A : finType) (m : mdp F S A) (pi pi' : S -> A -> F).
Variables (d d' : S -> F).

(** How much more often the first policy meets a state and an action. *)
Definition flow_gap (i : S * A) : F := d i.1 * pi i.1 i.2 - d' i.1 * pi' i.1 i.2.

Lemma occupancy_distance_flow :
  occupancy_distance pi d pi' d' = (\sum_i `|flow_gap i|) / 2%:R.
Proof. by rewrite /occupancy_distance pair_bigA. Qed.

(** The gap of the returns is the reward on that difference, A5 before any bound. *)
Lemma return_gap_flow V V' :
  is_value m pi V -> is_value m pi' V' -> is_occupancy m pi d -> is_occupancy m pi' d' ->
  return_of m V - return_of m V' = \sum_i flow_gap i * reward m i.1 i.2.
Proof.
move=> hV hV' hd hd'; rewrite (return_occupancy hV hd) (return_occupancy hV' hd') -sumrB.
rewrite -(pair_bigA _ (fun s a => flow_gap (s, a) * reward m s a)); apply: eq_bigr => s _.
rewrite !mulr_sumr -sumrB; apply: eq_bigr => a _.
by rewrite !mulrA -mulrBl.
Qed.

(** Both policies meet equally much in all. *)
Lemma flow_gap_balanced :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_occupancy m pi' d' ->
  \sum_i flow_gap i = 0.
Proof.
move=> hpi hpi' hd hd'; rewrite -(pair_bigA _ (fun s a => flow_gap (s, a))).
rewrite (eq_bigr (fun s => d s - d' s)) => [|s _].
  by rewrite sumrB (occupancy_mass hpi hd) (occupancy_mass hpi' hd') subrr.
by rewrite /flow_gap /= sumrB -!mulr_sumr (hpi s).2 (hpi' s).2 !mulr1.
Qed.

End Flows.

(** The reward that pays most where the first policy is met more often, and least elsewhere. *)
Lemma reward_attained (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (d d' : S -> F) lo hi :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_occupancy m pi' d' -> lo <= hi ->
  exists m' : mdp F S A,
    [/\ transition m' = transition m, initial m' = initial m, discount m' = discount m,
        reward_min m' = lo & reward_max m' = hi] /\
    forall V V', is_value m' pi V -> is_value m' pi' V' ->
      return_of m' V - return_of m' V' = (hi - lo) * occupancy_distance pi d pi' d'.
Proof.
move=> hpi hpi' hd hd' hlo.
pose w := flow_gap pi pi' d d'; have w0 : \sum_i w i = 0 by apply: flow_gap_balanced hd hd'.
pose r s a := if 0 < w (s, a) then hi else lo.
have hr s a : lo <= r s a <= hi by rewrite /r; case: ifP; rewrite lexx hlo.
pose m' := Mdp (transition_dist m) (initial_dist m) (discount_ge0 m) (discount_lt1 m) hr.
exists m'; split=> // V V' hV hV'.
have -> : return_of m' V - return_of m' V' = \sum_i w i * r i.1 i.2.
  exact: (@return_gap_flow _ _ _ m').
have -> : \sum_i w i * r i.1 i.2
    = \sum_i (w i * lo + (hi - lo) * ((w i + `|w i|) / 2%:R)).
  apply: eq_bigr => -[s a] _; rewrite /r -max0_abs /=; case: ltP => _.
    by ring.
  by rewrite mulr0 addr0.
rewrite occupancy_distance_flow big_split /= -mulr_suml w0 mul0r add0r -mulr_sumr.
by rewrite -mulr_suml big_split /= w0 add0r.
Qed.

Section Pair.

Variables (F : realFieldType) (S A : finType) (m : mdp F S A).
Implicit Types (pi : S -> A -> F) (V d c : S -> F).
Notation gamma := (discount m).
Notation Delta := (reward_range m).

Lemma coverage_ge0 pi : policy pi -> 0 <= Delta / (1 - gamma).
Proof.
by move=> hpi; apply: divr_ge0; rewrite ?(reward_range_ge0 m hpi) // ltW // horizon_gt0.
Qed.

(** The part that both policies have in common. *)
Definition common pi pi' (s : S) (a : A) : F := Num.min (pi s a) (pi' s a).

(** It is a policy in all but its mass, which is 1 - TV. *)
Lemma common_sub pi pi' : policy pi -> policy pi' -> subpolicy (common pi pi').
Proof.
move=> hpi hpi'; split=> [s a|s]; first by rewrite le_minr (hpi s).1 (hpi' s).1.
by rewrite sum_min // ler_subl_addr ler_addl tv_ge0.
Qed.

(** The equation of the separation, as one step of the common part. *)
Lemma separation_step pi pi' c s : is_separation m pi pi' c ->
  c s = tv (pi s) (pi' s) + gamma * step m (common pi pi') c s.
Proof. exact. Qed.

Lemma separationC pi pi' c : is_separation m pi pi' c -> is_separation m pi' pi c.
Proof.
by move=> hc s; rewrite hc tvC; under eq_bigr => a _ do rewrite minC.
Qed.

Lemma separation_exists pi pi' :
  policy pi -> policy pi' -> exists c, is_separation m pi pi' c.
Proof.
by move=> hpi hpi'; apply: (fixpoint_exists m (fun s => tv (pi s) (pi' s)) (common_sub hpi hpi')).
Qed.

Lemma separation_unique pi pi' c c' :
  policy pi -> policy pi' -> is_separation m pi pi' c -> is_separation m pi pi' c' ->
  forall s, c s = c' s.
Proof. by move=> hpi hpi'; apply: (fixpoint_unique (m := m) (common_sub hpi hpi')). Qed.

(** A bound [x] on the separation needs to hold one step only. *)
Lemma separation_le pi pi' c x :
  policy pi -> policy pi' -> is_separation m pi pi' c ->
  (forall s, tv (pi s) (pi' s) + gamma * ((1 - tv (pi s) (pi' s)) * x) <= x) ->
  forall s, c s <= x.
Proof.
move=> hpi hpi' hc hx.
apply: (comparison_principle (m := m) (common_sub hpi hpi') (x := fun s => tv (pi s) (pi' s))) => s.
  by rewrite -(separation_step s hc).
by rewrite step_const sum_min.
Qed.

Lemma separation_ge0 pi pi' c s :
  policy pi -> policy pi' -> is_separation m pi pi' c -> 0 <= c s.
Proof.
move=> hpi hpi' hc; move: s.
apply: (comparison_principle (m := m) (common_sub hpi hpi') (x := fun s => tv (pi s) (pi' s))) => s.
  by rewrite step_const !mulr0 addr0 tv_ge0.
by rewrite -(separation_step s hc).
Qed.

Lemma separation_bounds pi pi' c s :
  policy pi -> policy pi' -> is_separation m pi pi' c -> 0 <= c s <= 1.
Proof.
move=> hpi hpi' hc; rewrite (separation_ge0 s hpi hpi' hc); move: s.
apply: (separation_le hpi hpi' hc) => s; rewrite mulr1 -ler_subr_addl.
by rewrite ler_pimull ?(ltW (discount_lt1 m)) // subr_ge0 tv_le1.
Qed.

(** The separation's own A2: from [R] alone, by one step. *)
Lemma separation_sharp pi pi' c R s :
  policy pi -> policy pi' -> is_separation m pi pi' c ->
  (forall s, tv (pi s) (pi' s) <= R) -> c s <= R / (1 - gamma * (1 - R)).
Proof.
move=> hpi hpi' hc hR; have R0 := le_trans (tv_ge0 _ _) (hR s).
have pos := share_denominator_gt0 (discount_ge0 m) (discount_lt1 m) R0.
move: s; apply: (separation_le hpi hpi' hc) => s.
rewrite -(ler_pmul2r pos) -subr_ge0.
rewrite [X in 0 <= X](_ : _ = (R - tv (pi s) (pi' s)) * (1 - gamma)); last first.
  by field; rewrite gt_eqF.
by rewrite mulr_ge0 ?subr_ge0 // ltW ?discount_lt1.
Qed.

(** Values part by what both policies do in common and what the rest can be worth. *)
Lemma value_gap pi pi' V V' s :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  V s - V' s <= tv (pi s) (pi' s) * (Delta / (1 - gamma))
    + gamma * step m (common pi pi') (fun z => V z - V' z) s.
Proof.
move=> hpi hpi' hV hV'.
have hi a : action_value m V s a <= reward_max m / (1 - gamma).
  by case/andP: (action_value_bounds s a hpi hV).
have lo a : reward_min m / (1 - gamma) <= action_value m V' s a.
  by case/andP: (action_value_bounds s a hpi' hV').
have up := expect_common_le (hpi s) (hpi' s) hi.
have := expect_common_ge (hpi' s) (hpi s) lo.
rewrite hV (hV' s) tvC -ler_opp2 => /(ler_add up)/le_trans; apply.
under [X in _ - (X + _)]eq_bigr => a _ do rewrite minC.
rewrite opprD addrACA -sumrB -mulrBr -mulrBl addrC ler_add2l mulr_sumr le_eqVlt.
apply/orP; left; apply/eqP; apply: eq_bigr => a _.
by rewrite -mulrBr expectB opprD addrACA subrr add0r -mulrBr mulrCA.
Qed.

(** The separation bounds the difference of values, in this order and in the other. *)
Lemma value_gap_separation pi pi' V V' c s :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  is_separation m pi pi' c -> V s - V' s <= c s * Delta / (1 - gamma).
Proof.
move=> hpi hpi' hV hV' hc; rewrite -mulrA mulrC; move: s.
pose x s := tv (pi s) (pi' s) * (Delta / (1 - gamma)).
apply: (comparison_principle (m := m) (common_sub hpi hpi') (x := x)) => s; first exact: value_gap.
by rewrite stepZ mulrCA /x [tv _ _ * _]mulrC -mulrDr -(separation_step s hc).
Qed.

(** A0, A2, A4 state by state. *)
Lemma state_coupling pi pi' V V' c s :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  is_separation m pi pi' c -> `|V s - V' s| <= c s * Delta / (1 - gamma).
Proof.
move=> hpi hpi' hV hV' hc; rewrite ler_norml (value_gap_separation s hpi hpi' hV hV' hc) andbT.
by rewrite ler_oppl opprB; apply: value_gap_separation (separationC hc).
Qed.

Lemma state_sharp pi pi' V V' R s :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  (forall s, tv (pi s) (pi' s) <= R) -> `|V s - V' s| <= sharp gamma Delta R.
Proof.
move=> hpi hpi' hV hV' hR; have [c hc] := separation_exists hpi hpi'.
apply: le_trans (state_coupling s hpi hpi' hV hV' hc) _; rewrite sharpE -mulrA mulrC.
apply: ler_wpmul2l; last exact: separation_sharp hc hR.
exact: coverage_ge0 hpi.
Qed.

Lemma state_coverage pi pi' V V' s :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  `|V s - V' s| <= Delta / (1 - gamma).
Proof.
move=> hpi hpi' hV hV'; have [c hc] := separation_exists hpi hpi'.
apply: le_trans (state_coupling s hpi hpi' hV hV' hc) _; rewrite -mulrA ler_pimull //.
  exact: coverage_ge0 hpi.
by case/andP: (separation_bounds s hpi hpi' hc).
Qed.

(** What holds in every state holds for the returns. *)
Lemma return_gap_le V V' b :
  (forall s, `|V s - V' s| <= b s) -> `|return_of m V - return_of m V'| <= return_of m b.
Proof.
have hi := initial_dist m; move=> hb; rewrite /return_of -expectB.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => s _.
by rewrite normrM (ger0_norm (hi.1 s)); apply: (ler_wpmul2l (hi.1 s)).
Qed.

Lemma return_const x : return_of m (fun=> x) = x.
Proof. exact: expect_const (initial_dist m). Qed.

(** A0 to A5 for the returns. *)
Lemma pair_coverage pi pi' V V' :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  `|return_of m V - return_of m V'| <= Delta / (1 - gamma).
Proof.
move=> hpi hpi' hV hV'; rewrite -[X in _ <= X]return_const.
by apply: return_gap_le => s; apply: state_coverage hV hV'.
Qed.

Lemma pair_sharp pi pi' V V' R :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  (forall s, tv (pi s) (pi' s) <= R) ->
  `|return_of m V - return_of m V'| <= sharp gamma Delta R.
Proof.
move=> hpi hpi' hV hV' hR; rewrite -[X in _ <= X]return_const.
by apply: return_gap_le => s; apply: state_sharp hV hV' hR.
Qed.

Lemma pair_classic pi pi' V V' R :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  (forall s, tv (pi s) (pi' s) <= R) ->
  `|return_of m V - return_of m V'| <= R * Delta / (1 - gamma) ^+ 2.
Proof.
move=> hpi hpi' hV hV' hR; apply: le_trans (pair_sharp hpi hpi' hV hV' hR) _.
have [s _] := dist_inhabited (initial_dist m).
apply: sharp_le_classic (discount_ge0 m) (discount_lt1 m) (reward_range_ge0 m hpi) _.
exact: le_trans (tv_ge0 _ _) (hR s).
Qed.

Lemma pair_coupling pi pi' V V' c :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  is_separation m pi pi' c ->
  `|return_of m V - return_of m V'| <= return_of m c * Delta / (1 - gamma).
Proof.
move=> hpi hpi' hV hV' hc; rewrite -mulrA mulrC /return_of -[X in _ <= X]expectZ.
by apply: return_gap_le => s; rewrite mulrC mulrA; apply: state_coupling hV hV' hc.
Qed.

Lemma pair_occupancy pi pi' V V' d d' :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' ->
  is_occupancy m pi d -> is_occupancy m pi' d' ->
  `|return_of m V - return_of m V'| <= Delta * occupancy_distance pi d pi' d'.
Proof.
move=> hpi hpi' hV hV' hd hd'; rewrite (return_gap_flow hV hV' hd hd') mulrC.
rewrite occupancy_distance_flow; apply: balanced_sum => [|i]; last exact: reward_bounds.
exact: flow_gap_balanced hd hd'.
Qed.

(** The ladder: A5 <= A4 <= min(A2, A3), A2 <= min(A0, A1); A5 <= A4 stands below. *)

Lemma coupling_le_sharp pi pi' c R :
  policy pi -> policy pi' -> is_separation m pi pi' c ->
  (forall s, tv (pi s) (pi' s) <= R) ->
  return_of m c <= R / (1 - gamma * (1 - R)).
Proof.
move=> hpi hpi' hc hR; rewrite -[X in _ <= X]return_const.
by apply: expect_le (initial_dist m) _ => s; apply: separation_sharp hc hR.
Qed.

Lemma coupling_le_on_policy pi pi' d c :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_separation m pi pi' c ->
  return_of m c <= visited_tv d pi pi'.
Proof.
move=> hpi hpi' hd hc; apply: (occupancy_sum_le _ hd) => s; first exact: occupancy_ge0 hd.
rewrite {1}(separation_step s hc) ler_add2l ler_wpmul2l ?discount_ge0 //.
apply: ler_sum => a _; apply: ler_wpmul2r; last by rewrite le_minl lexx.
by apply: sumr_ge0 => z _; rewrite mulr_ge0 ?(transition_dist m s a).1 ?(separation_ge0 _ hpi hpi').
Qed.

Lemma pair_on_policy pi pi' V V' d :
  policy pi -> policy pi' -> is_value m pi V -> is_value m pi' V' -> is_occupancy m pi d ->
  `|return_of m V - return_of m V'| <= Delta / (1 - gamma) * visited_tv d pi pi'.
Proof.
move=> hpi hpi' hV hV' hd; have [c hc] := separation_exists hpi hpi'.
apply: le_trans (pair_coupling hpi hpi' hV hV' hc) _; rewrite -mulrA mulrC.
apply: ler_wpmul2l; last exact: coupling_le_on_policy hc.
exact: coverage_ge0 hpi.
Qed.

End Pair.

(** A world that pays between 0 and 1 and attains A5 shows A5 <= A4. *)
Lemma occupancy_le_coupling (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (d d' c : S -> F) :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_occupancy m pi' d' ->
  is_separation m pi pi' c ->
  occupancy_distance pi d pi' d' <= return_of m c / (1 - discount m).
Proof.
move=> hpi hpi' hd hd' hc.
have [m' [[et ei eg elo ehi] hm']] := reward_attained hpi hpi' hd hd' ler01.
have hc' : is_separation m' pi pi' c by move=> s; rewrite et eg.
have [V hV] := value_exists m' hpi; have [V' hV'] := value_exists m' hpi'.
have := pair_coupling hpi hpi' hV hV' hc'; rewrite hm' // /reward_range elo ehi eg subr0.
by rewrite mul1r mulr1 /return_of ei; apply: le_trans; apply: ler_norm.
Qed.

(** A5 is attained: for given dynamics and policies, by a reward within the bounds. *)
Lemma occupancy_attained (F : realFieldType) (S A : finType) (m : mdp F S A)
    (pi pi' : S -> A -> F) (d d' : S -> F) :
  policy pi -> policy pi' -> is_occupancy m pi d -> is_occupancy m pi' d' ->
  exists m' : mdp F S A,
    [/\ transition m' = transition m, initial m' = initial m, discount m' = discount m,
        reward_min m' = reward_min m & reward_max m' = reward_max m] /\
    forall V V', is_value m' pi V -> is_value m' pi' V' ->
      return_of m' V - return_of m' V' = reward_range m * occupancy_distance pi d pi' d'.
Proof.
move=> hpi hpi' hd hd'; apply: reward_attained => //.
by rewrite -subr_ge0; exact: (reward_range_ge0 m hpi).
Qed.
