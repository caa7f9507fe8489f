(** Values and occupancies: they exist, are unique, and lie where they should. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** Where I - K is injective, both it and its transpose can be solved. *)
Lemma linear_solvable (F : fieldType) (S : finType) (K : S -> S -> F) (x : S -> F) :
  (forall W, (forall s, W s = \sum_s' K s s' * W s') -> forall s, W s = 0) ->
  (exists W, forall s, W s = x s + \sum_s' K s s' * W s') /\
  (exists d, forall s', d s' = x s' + \sum_s d s * K s s').
Proof.
move=> inj; pose M : 'M[F]_#|S| := 1%:M - \matrix_(i, j) K (enum_val i) (enum_val j).
have sumE f : \sum_(s : S) f s = \sum_(i < #|S|) f (enum_val i) :> F.
  by rewrite (reindex (@enum_val S S)) //; apply/onW_bij/enum_val_bij.
have mulMl (v : 'cV_#|S|) s : (M *m v) (enum_rank s) 0 =
    v (enum_rank s) 0 - \sum_s' K s s' * v (enum_rank s') 0.
  rewrite mulmxBl mul1mx !mxE sumE; congr (_ - _).
  by apply: eq_bigr => j _; rewrite mxE enum_rankK enum_valK.
have mulMr (v : 'rV_#|S|) s' : (v *m M) 0 (enum_rank s') =
    v 0 (enum_rank s') - \sum_s v 0 (enum_rank s) * K s s'.
  rewrite mulmxBr mulmx1 !mxE sumE; congr (_ - _).
  by apply: eq_bigr => j _; rewrite mxE enum_rankK enum_valK.
have uM : M \in unitmx.
  rewrite -unitmx_tr -row_free_unit; apply: inj_row_free => v hv.
  have {}hv : M *m v^T = 0 by rewrite -[M]trmxK -trmx_mul hv trmx0.
  apply/rowP => i; rewrite mxE -(enum_valK i); move: (enum_val i) => {i}.
  apply: inj => s; apply/eqP; rewrite -subr_eq0.
  have /eqP := mulMl v^T s; rewrite hv !mxE eq_sym.
  by under eq_bigr => s' _ do rewrite mxE.
pose X : 'cV_#|S| := \col_i x (enum_val i); split.
  exists (fun s => (invmx M *m X) (enum_rank s) 0) => s; apply/eqP; rewrite -subr_eq.
  by rewrite -mulMl mulKVmx // mxE enum_rankK.
exists (fun s => (X^T *m invmx M) 0 (enum_rank s)) => s; apply/eqP; rewrite -subr_eq.
by rewrite -mulMr mulmxKV // !mxE enum_rankK.
Qed.

Section Values.

Variables (F : realFieldType) (S A : finType) (m : mdp F S A).
Implicit Types (pi k : S -> A -> F) (V d U W : S -> F).
Notation gamma := (discount m).

Lemma horizon_gt0 : 0 < 1 - gamma.
Proof. by rewrite subr_gt0 discount_lt1. Qed.

Lemma horizon_neq0 : 1 - gamma != 0.
Proof. by rewrite gt_eqF ?horizon_gt0. Qed.

(** What is paid forever, discounted, is one payment and the rest. *)
Lemma horizon_step (x : F) : x + gamma * (x / (1 - gamma)) = x / (1 - gamma).
Proof. by move: horizon_neq0; move: gamma => g g1; field. Qed.

(** Without an action nothing is paid and the reward bounds may stand in any order. *)
Lemma reward_range_ge0 pi : policy pi -> 0 <= reward_range m.
Proof.
move=> hpi; have [s _] := dist_inhabited (initial_dist m).
have [a _] := dist_inhabited (hpi s).
by case/andP: (reward_bounds m s a) => lo hi; rewrite subr_ge0 (le_trans lo).
Qed.

(** ** One step under weights of actions that need not sum to 1 *)

Definition step k W s : F := \sum_a k s a * expect (transition m s a) W.

Definition subpolicy k : Prop :=
  (forall s a, 0 <= k s a) /\ (forall s, \sum_a k s a <= 1).

Lemma policy_sub pi : policy pi -> subpolicy pi.
Proof. by move=> h; split=> [s a|s]; [apply: (h s).1 | rewrite (h s).2]. Qed.

Lemma step_const k x s : step k (fun=> x) s = (\sum_a k s a) * x.
Proof.
rewrite mulr_suml; apply: eq_bigr => a _.
by rewrite expect_const //; apply: transition_dist.
Qed.

Lemma stepB k U W s : step k (fun z => U z - W z) s = step k U s - step k W s.
Proof. by rewrite -sumrB; apply: eq_bigr => a _; rewrite expectB mulrBr. Qed.

Lemma stepZ k x W s : step k (fun z => x * W z) s = x * step k W s.
Proof. by rewrite mulr_sumr; apply: eq_bigr => a _; rewrite expectZ mulrCA. Qed.

Lemma step_le k U W s :
  (forall a, 0 <= k s a) -> (forall z, U z <= W z) -> step k U s <= step k W s.
Proof.
move=> k0 h; apply: ler_sum => a _; apply: ler_wpmul2l => //.
by apply: expect_le => //; apply: transition_dist.
Qed.

(** What is at most its own discounted successor is nowhere positive. *)
Lemma max_principle k U :
  subpolicy k -> (forall s, U s <= gamma * step k U s) -> forall s, U s <= 0.
Proof.
move=> [k0 k1] hU s; case: (Order.TotalTheory.arg_maxP U (erefl : xpredT s)) => s0 _ top.
apply: le_trans (top s isT) _; rewrite leNgt; apply/negP => pos.
have : U s0 <= gamma * U s0.
  apply: le_trans (hU s0) _; apply: (ler_wpmul2l (discount_ge0 m)).
  apply: le_trans (step_le (k0 s0) (fun z => top z isT)) _.
  by rewrite step_const ler_pimull ?(ltW pos).
by rewrite leNgt -subr_gt0 -{1}[U s0]mul1r -mulrBl mulr_gt0 ?horizon_gt0.
Qed.

(** A subsolution lies below every supersolution. *)
Lemma comparison_principle k x U W :
  subpolicy k -> (forall s, U s <= x s + gamma * step k U s) ->
  (forall s, x s + gamma * step k W s <= W s) -> forall s, U s <= W s.
Proof.
move=> hk hU hW s; rewrite -subr_le0.
apply: (@max_principle k (fun z => U z - W z)) => // {}s.
rewrite stepB ler_subl_addr; apply: le_trans (hU s) _.
rewrite -subr_ge0 [X in 0 <= X](_ : _ = W s - (x s + gamma * step k W s)) ?subr_ge0 //.
by move: (step k U s) (step k W s) => u w; ring.
Qed.

(** What solves U = x + gamma step U is unique, and exists (for rewards, for separations). *)
Lemma fixpoint_unique k x U W :
  subpolicy k -> (forall s, U s = x s + gamma * step k U s) ->
  (forall s, W s = x s + gamma * step k W s) -> forall s, U s = W s.
Proof.
move=> hk hU hW s; apply/eqP; rewrite eq_le.
by apply/andP; split; move: s; apply: (@comparison_principle k x) => // s; rewrite -?hU -?hW.
Qed.

(** The weights of the next states, so that a step is a matrix. *)
Lemma step_matrix k W s :
  gamma * step k W s = \sum_s' (gamma * expect (k s) (fun a => transition m s a s')) * W s'.
Proof.
under [RHS]eq_bigr => s' _ do rewrite -mulrA mulr_suml.
rewrite -mulr_sumr exchange_big; congr (_ * _); apply: eq_bigr => a _ /=.
by rewrite mulr_sumr; apply: eq_bigr => s' _; rewrite mulrA.
Qed.

(** Nothing but 0 is its own discounted successor. *)
Lemma step_inj k W :
  subpolicy k -> (forall s, W s = gamma * step k W s) -> forall s, W s = 0.
Proof.
move=> hk hW; apply: (@fixpoint_unique k (fun=> 0)) => // s; first by rewrite add0r.
by rewrite step_const !mulr0 addr0.
Qed.

Lemma fixpoint_exists k x :
  subpolicy k -> exists W, forall s, W s = x s + gamma * step k W s.
Proof.
move=> hk; have [|[W hW] _] := @linear_solvable F S
  (fun s s' => gamma * expect (k s) (fun a => transition m s a s')) x.
  by move=> W hW; apply: (step_inj hk) => s; rewrite step_matrix -hW.
by exists W => s; rewrite step_matrix -hW.
Qed.

(** ** Values *)

(** The Bellman equation as one step: payment now and the discounted rest. *)
Lemma expect_action_value pi V s :
  expect (pi s) (action_value m V s) = expect (pi s) (reward m s) + gamma * step pi V s.
Proof.
rewrite /expect mulr_sumr -big_split; apply: eq_bigr => a _ /=.
by rewrite mulrDr [_ * (gamma * _)]mulrCA.
Qed.

Lemma value_step pi V s :
  is_value m pi V -> V s = expect (pi s) (reward m s) + gamma * step pi V s.
Proof. by move=> hV; rewrite {1}hV expect_action_value. Qed.

Lemma value_exists pi : policy pi -> exists V, is_value m pi V.
Proof.
move=> hpi.
have [V hV] := fixpoint_exists (fun s => expect (pi s) (reward m s)) (policy_sub hpi).
by exists V => s; rewrite hV expect_action_value.
Qed.

Lemma value_unique pi V V' :
  policy pi -> is_value m pi V -> is_value m pi V' -> forall s, V s = V' s.
Proof.
move=> hpi hV hV'.
apply: (@fixpoint_unique pi (fun s => expect (pi s) (reward m s)) V V') => [|s|s].
- exact: policy_sub.
- exact: value_step.
- exact: value_step.
Qed.

Lemma value_bounds pi V s :
  policy pi -> is_value m pi V ->
  reward_min m / (1 - gamma) <= V s <= reward_max m / (1 - gamma).
Proof.
move=> hpi hV; have hs := policy_sub hpi.
have hr z := expect_between (hpi z) (reward_bounds m z).
apply/andP; split; move: s.
  apply: (comparison_principle hs (x := fun z => expect (pi z) (reward m z))) => s.
    by rewrite step_const (hpi s).2 mul1r -{1}horizon_step ler_add2r; case/andP: (hr s).
  by rewrite -value_step.
apply: (comparison_principle hs (x := fun z => expect (pi z) (reward m z))) => s.
  by rewrite -value_step.
by rewrite step_const (hpi s).2 mul1r -[X in _ <= X]horizon_step ler_add2r; case/andP: (hr s).
Qed.

Lemma action_value_bounds pi V s a :
  policy pi -> is_value m pi V ->
  reward_min m / (1 - gamma) <= action_value m V s a <= reward_max m / (1 - gamma).
Proof.
move=> hpi hV; have /andP[rl rh] := reward_bounds m s a.
have /andP[el eh] := expect_between (transition_dist m s a) (fun z => value_bounds z hpi hV).
rewrite -(horizon_step (reward_min m)) -(horizon_step (reward_max m)).
by rewrite !ler_add // ler_wpmul2l ?discount_ge0.
Qed.

(** ** Occupancies *)

(** An occupancy turns what a state adds to its discounted successor into what the start has. *)
Lemma occupancy_sum pi d W :
  is_occupancy m pi d -> return_of m W = \sum_s d s * (W s - gamma * step pi W s).
Proof.
move=> hd; under [RHS]eq_bigr => s _ do rewrite mulrBr.
rewrite sumrB.
have -> : \sum_s d s * (gamma * step pi W s) = \sum_s' (d s' - initial m s') * W s'.
  under [LHS]eq_bigr => s _ do rewrite step_matrix mulr_sumr.
  rewrite exchange_big; apply: eq_bigr => s' _ /=.
  rewrite hd addrAC subrr add0r mulr_sumr mulr_suml.
  by apply: eq_bigr => s _; rewrite mulrA [d s * _]mulrCA.
by rewrite -sumrB; apply: eq_bigr => s _; rewrite -mulrBl opprB addrC subrK.
Qed.

(** The same for what a state adds at most, where nothing is visited a negative number of times. *)
Lemma occupancy_sum_le pi d x W :
  (forall s, 0 <= d s) -> is_occupancy m pi d ->
  (forall s, W s <= x s + gamma * step pi W s) -> return_of m W <= \sum_s d s * x s.
Proof.
move=> d0 hd hW; rewrite (occupancy_sum _ hd); apply: ler_sum => s _.
by apply: ler_wpmul2l => //; rewrite ler_subl_addr.
Qed.

Lemma occupancy_exists pi : policy pi -> exists d, is_occupancy m pi d.
Proof.
move=> hpi; have [|_ [d hd]] := @linear_solvable F S
  (fun s s' => gamma * expect (pi s) (fun a => transition m s a s')) (initial m).
  by move=> W hW; apply: (step_inj (policy_sub hpi)) => s; rewrite step_matrix -hW.
exists d => s'; rewrite hd mulr_sumr.
by congr (_ + _); apply: eq_bigr => s _; rewrite mulrCA.
Qed.

(** How often a state is visited is the return of being paid 1 there. *)
Lemma occupancy_visits pi s0 : policy pi -> exists2 W : S -> F,
  (forall s, 0 <= W s) & forall d, is_occupancy m pi d -> d s0 = return_of m W.
Proof.
move=> hpi; have hs := policy_sub hpi.
have [W hW] := fixpoint_exists (fun s => (s == s0)%:R) hs; exists W.
  apply: (comparison_principle hs (x := fun=> 0)) => s; rewrite ?step_const ?mulr0 ?addr0 ?add0r //.
  by rewrite [W s]hW ler_addr ler0n.
move=> d hd; rewrite (occupancy_sum W hd) (bigD1 s0) //= hW addrK eqxx mulr1.
by rewrite big1 ?addr0 // => s /negPf ns; rewrite hW addrK ns mulr0.
Qed.

Lemma occupancy_unique pi d d' :
  policy pi -> is_occupancy m pi d -> is_occupancy m pi d' -> forall s, d s = d' s.
Proof. by move=> hpi hd hd' s; have [W _ hW] := occupancy_visits s hpi; rewrite !hW. Qed.

Lemma occupancy_ge0 pi d s : policy pi -> is_occupancy m pi d -> 0 <= d s.
Proof.
move=> hpi hd; have [W W0 ->//] := occupancy_visits s hpi.
by apply: sumr_ge0 => z _; rewrite mulr_ge0 ?(initial_dist m).1.
Qed.

Lemma occupancy_mass pi d :
  policy pi -> is_occupancy m pi d -> \sum_s d s = 1 / (1 - gamma).
Proof.
move=> hpi hd; have := occupancy_sum (fun=> 1) hd.
rewrite /return_of expect_const; last exact: initial_dist.
under eq_bigr => s _ do rewrite step_const (hpi s).2 !mulr1.
by rewrite -mulr_suml => e; rewrite -[LHS](mulfK horizon_neq0) -e.
Qed.

(** The return as the expected reward on the occupancy. *)
Lemma return_occupancy pi V d :
  is_value m pi V -> is_occupancy m pi d ->
  return_of m V = \sum_s d s * expect (pi s) (reward m s).
Proof.
move=> hV hd; rewrite (occupancy_sum V hd); apply: eq_bigr => s _.
by rewrite (value_step s hV) addrK.
Qed.

(** The performance difference lemma; neither policy need be stochastic. *)
Lemma performance_difference pi V pi' V' d' :
  is_value m pi V -> is_value m pi' V' -> is_occupancy m pi' d' ->
  return_of m V' - return_of m V =
    \sum_s d' s * \sum_a (pi' s a - pi s a) * action_value m V s a.
Proof.
move=> hV hV' hd; rewrite (return_occupancy hV' hd) (occupancy_sum V hd) -sumrB.
apply: eq_bigr => s _; rewrite -mulrBr; congr (_ * _).
under [RHS]eq_bigr => a _ do rewrite mulrBl.
by rewrite sumrB -/(expect _ _) -/(expect _ _) -hV expect_action_value opprB addrA addrAC.
Qed.

End Values.

(** Why [reward_range_ge0] asks for a policy: with no action at all it is false. *)
Lemma reward_range_without_actions (F : realFieldType) :
  exists m : mdp F [finType of unit] [finType of void], reward_range m < 0.
Proof.
have hd : dist (fun _ : [finType of unit] => 1 : F).
  by split=> [_|]; rewrite ?ler01 // sumr_const card_unit.
have hb (s : [finType of unit]) (a : [finType of void]) : 1 <= (0 : F) <= 0 by case: a.
have ht (s : [finType of unit]) (a : [finType of void]) : dist (fun _ : [finType of unit] => 1 : F).
  by case: a.
exists (Mdp ht hd (lexx 0) ltr01 hb).
by rewrite /reward_range /= sub0r oppr_lt0 ltr01.
Qed.
