(** A2 and A3 are attained, and A2 cannot have R-bar for R. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Values Ladder Robustness Gap Worlds.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** A2 *)

Section Sharp.

Variables (F : realFieldType) (gamma lo hi R : F).
Hypotheses (g0 : 0 <= gamma) (g1 : gamma < 1) (R0 : 0 <= R) (lohi : lo <= hi).

(** In the start state [true], action [true] pays [hi] and stays, action [false] pays [lo] and
    moves to the sink [false], which pays [lo] forever. *)
Definition sharp_world : mdp F boolF boolF := world true andb andb g0 g1 lohi.

(** One policy always takes [true], the other takes [false] with probability R. *)
Lemma sharp_world_difference V V' :
  is_value sharp_world (fun _ => coin 0) V -> is_value sharp_world (fun _ => coin R) V' ->
  return_of sharp_world V - return_of sharp_world V' = sharp gamma (hi - lo) R.
Proof.
move=> /(world_value (x := fun _ => 0)) PV /(world_value (x := fun _ => R)) PV'.
have h0 : 1 - gamma != 0 by rewrite subr_eq0 gt_eqF.
have n0 : 1 - gamma * (1 - R) != 0 := lt0r_neq0 (sharp_denominator_gt0 g0 g1 R0).
have start : V true = hi / (1 - gamma).
  by apply: (canRL (mulfK h0)); have := PV true; rewrite /= => e; rewrite mulrBr mulr1 {1}e; ring.
have sink' : V' false = lo / (1 - gamma).
  by apply: (canRL (mulfK h0)); have := PV' false; rewrite /= => e; rewrite mulrBr mulr1 {1}e; ring.
have start' : V' true =
    ((1 - R) * hi + R * (lo + gamma * (lo / (1 - gamma)))) / (1 - gamma * (1 - R)).
  apply: (canRL (mulfK n0)); have := PV' true; rewrite /= sink' => e.
  by rewrite mulrBr mulr1 {1}e; ring.
by rewrite !world_return start start' /sharp; field; rewrite n0 h0.
Qed.

End Sharp.

Theorem sharp_attained (F : realFieldType) (gamma lo hi R : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> R <= 1 -> lo <= hi ->
  exists (m : mdp F boolF boolF) (pi pi' : boolF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      (exists s a, reward m s a = lo) /\ (exists s a, reward m s a = hi),
      policy pi /\ policy pi',
      forall s, tv (pi s) (pi' s) = R &
      forall V V', is_value m pi V -> is_value m pi' V' ->
        return_of m V - return_of m V' = sharp gamma (hi - lo) R].
Proof.
move=> g0 g1 R0 R1 lohi.
exists (sharp_world g0 g1 lohi), (fun _ => coin 0), (fun _ => coin R); split=> //.
- by split; [exists true, false | exists true, true].
- by split=> s; apply: coin_dist; rewrite ?ler01.
- by move=> s; rewrite tv_coin sub0r normrN ger0_norm.
by move=> V V'; apply: sharp_world_difference.
Qed.

(** The gap bound is attained too, for every mass of the training renderings. *)
Theorem sharp_attained_gap (F : realFieldType) (gamma lo hi R M : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> R <= 1 -> lo <= hi -> 0 < M -> M <= 1 ->
  exists (m : mdp F boolF boolF) (w : family F boolF) (pi : boolF -> boolF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      train_mass w = M,
      forall f, policy (pi f),
      robustness w pi = R &
      forall V, (forall f, is_value m (pi f) (V f)) ->
        gap w (fun f => return_of m (V f)) = (1 - M) * sharp gamma (hi - lo) R].
Proof.
move=> g0 g1 R0 R1 lohi M0 M1; pose x (f : boolF) : F := if f then 0 else R.
exists (sharp_world g0 g1 lohi), (two M0 M1), (fun f _ => coin (x f)); split=> //.
- exact: two_train_mass.
- by case=> s; apply: coin_dist; rewrite ?ler01.
- by apply: (two_robustness _ _ true) => s; rewrite tv_coin sub0r normrN ger0_norm.
move=> V PV; rewrite two_gap; congr (_ * _).
rewrite (sharp_world_difference R0 (PV true) (PV false)) ger0_norm //.
by rewrite sharp_ge0 ?subr_ge0.
Qed.

(** ** A3 *)

Notation optionF := [finType of option bool].

Section Fork.

Variables (F : realFieldType) (gamma lo hi : F).
Hypotheses (g0 : 0 <= gamma) (g1 : gamma < 1) (lohi : lo <= hi).

(** In the start state [None], action [true] pays [hi] and leads to the state [Some true], which
    pays [hi] forever; action [false] pays [lo] and leads to [Some false], which pays [lo]. *)
Definition fork : mdp F optionF boolF :=
  world None (fun s a => Some (odflt a s)) (fun s a => odflt a s) g0 g1 lohi.

(** One policy always takes [true]; the other takes [false] with probability [y] in the start state
    and with probability [z], to no effect, elsewhere. *)
Definition swerve (y z : F) (s : option bool) : F := if s is None then y else z.

Lemma swerve_policy y z :
  0 <= y -> y <= 1 -> 0 <= z -> z <= 1 -> policy (fun s : optionF => coin (swerve y z s)).
Proof. by move=> y0 y1 z0 z1 [s|]; apply: coin_dist. Qed.

Lemma fork_return y z V :
  is_value fork (fun s => coin (swerve y z s)) V ->
  return_of fork V = (hi - y * (hi - lo)) / (1 - gamma).
Proof.
move=> /(world_value (x := swerve y z)) PV; have h0 : 1 - gamma != 0 by rewrite subr_eq0 gt_eqF.
have end_ b : V (Some b) = (if b then hi else lo) / (1 - gamma).
  apply: (canRL (mulfK h0)); have := PV (Some b); rewrite /= => e.
  by rewrite mulrBr mulr1 {1}e; ring.
by rewrite world_return PV /= !end_; field.
Qed.

(** The start state is visited once, the others make up the rest of the occupancy. *)
Lemma fork_visited_tv y z d :
  0 <= y -> 0 <= z -> is_occupancy fork (fun s => coin (swerve 0 0 s)) d ->
  (1 - gamma) * visited_tv d (fun s => coin (swerve 0 0 s)) (fun s => coin (swerve y z s)) =
    (1 - gamma) * y + gamma * z.
Proof.
move=> y0 z0 Pd; have h0 : 1 - gamma != 0 by rewrite subr_eq0 gt_eqF.
have start : d None = 1.
  rewrite (Pd None) /= /point eqxx big1 ?mulr0 ?addr0 // => s _.
  by rewrite /expect big1 ?mulr0 // => a _; rewrite mulr0.
have rest : \sum_(s | s != None) d s = gamma / (1 - gamma).
  have P : policy (fun s : optionF => coin (swerve 0 0 s)) by apply: swerve_policy; rewrite ?ler01.
  have := occupancy_mass P Pd; rewrite (bigD1 None) //= start => e.
  by apply: (addrI 1); rewrite e; field.
rewrite /visited_tv (bigD1 None) //= start tv_coin sub0r normrN ger0_norm //.
rewrite (eq_bigr (fun s => d s * z)) => [|[s|] // _]; last first.
  by rewrite tv_coin sub0r normrN ger0_norm.
by rewrite -mulr_suml rest; field.
Qed.

End Fork.

Theorem on_policy_attained (F : realFieldType) (gamma lo hi x : F) :
  0 <= gamma -> gamma < 1 -> 0 <= x -> x <= 1 -> lo <= hi ->
  exists (m : mdp F optionF boolF) (pi pi' : optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      (exists s a, reward m s a = lo) /\ (exists s a, reward m s a = hi),
      policy pi /\ policy pi' &
      forall V V' d, is_value m pi V -> is_value m pi' V' -> is_occupancy m pi d ->
        (1 - gamma) * visited_tv d pi pi' = (1 - gamma) * x /\
        return_of m V - return_of m V' = x * (hi - lo) / (1 - gamma)].
Proof.
move=> g0 g1 x0 x1 lohi; exists (fork g0 g1 lohi).
exists (fun s => coin (swerve 0 0 s)), (fun s => coin (swerve x 0 s)); split=> //.
- by split; [exists None, false | exists None, true].
- by split; apply: swerve_policy; rewrite ?ler01.
move=> V V' d PV PV' Pd; rewrite (fork_visited_tv x0 (lexx 0) Pd) mulr0 addr0.
by rewrite (fork_return PV) (fork_return PV') -mulrBl; split=> //; congr (_ / _); ring.
Qed.

(** Where R-bar exceeds 1 - gamma, it is A0 that is attained: nothing better than the lesser of A0
    and A3 can be said from R-bar alone. *)
Theorem coverage_on_policy_attained (F : realFieldType) (gamma lo hi Rbar : F) :
  0 <= gamma -> gamma < 1 -> 0 <= Rbar -> Rbar <= 1 -> lo <= hi ->
  exists (m : mdp F optionF boolF) (pi pi' : optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      policy pi /\ policy pi' &
      forall V V' d, is_value m pi V -> is_value m pi' V' -> is_occupancy m pi d ->
        (1 - gamma) * visited_tv d pi pi' = Rbar /\
        return_of m V - return_of m V' =
          Num.min ((hi - lo) / (1 - gamma)) (Rbar * (hi - lo) / (1 - gamma) ^+ 2)].
Proof.
move=> g0 g1 Rbar0 Rbar1 lohi; have h0 : 0 < 1 - gamma by rewrite subr_gt0.
have Delta0 : 0 <= hi - lo by rewrite subr_ge0.
have A3 : Rbar * (hi - lo) / (1 - gamma) ^+ 2 = Rbar / (1 - gamma) * ((hi - lo) / (1 - gamma)).
  by field; rewrite lt0r_neq0.
suff [y [z [/andP[y0 y1] /andP[z0 z1] Ryz least]]] : exists y z : F,
    [/\ 0 <= y <= 1, 0 <= z <= 1, (1 - gamma) * y + gamma * z = Rbar &
        y * ((hi - lo) / (1 - gamma)) =
          Num.min ((hi - lo) / (1 - gamma)) (Rbar * (hi - lo) / (1 - gamma) ^+ 2)].
  exists (fork g0 g1 lohi).
  exists (fun s => coin (swerve 0 0 s)), (fun s => coin (swerve y z s)); split=> //.
    by split; apply: swerve_policy; rewrite ?ler01.
  move=> V V' d PV PV' Pd; rewrite (fork_visited_tv y0 z0 Pd) -least; split=> //.
  by rewrite (fork_return PV) (fork_return PV'); field; rewrite lt0r_neq0.
have A0_ge0 : 0 <= (hi - lo) / (1 - gamma) by rewrite divr_ge0 // ltW.
have [small|large] := leP Rbar (1 - gamma).
  exists (Rbar / (1 - gamma)), 0; split; rewrite ?lexx ?ler01 //.
  - by rewrite divr_ge0 ?(ltW h0) //= ler_pdivr_mulr // mul1r.
  - by rewrite mulr0 addr0 mulrC divfK // lt0r_neq0.
  by rewrite A3 min_r // ler_pimull // ler_pdivr_mulr // mul1r.
have gpos : 0 < gamma.
  by rewrite lt_neqAle g0 andbT; apply: contraTneq large => <-; rewrite subr0 -leNgt.
exists 1, ((Rbar - (1 - gamma)) / gamma); split; rewrite ?lexx ?ler01 //.
- rewrite divr_ge0 ?subr_ge0 ?(ltW gpos) ?(ltW large) //= ler_pdivr_mulr // mul1r ler_subl_addr.
  by rewrite addrC subrK.
- by rewrite [gamma * _]mulrC divfK ?lt0r_neq0 // mulr1 addrC subrK.
by rewrite A3 mul1r min_l // ler_pemull // ler_pdivl_mulr // mul1r ltW.
Qed.

(** A3 is attained by the gap, for every mass of the training renderings. *)
Theorem on_policy_attained_gap (F : realFieldType) (gamma lo hi x M : F) :
  0 <= gamma -> gamma < 1 -> 0 <= x -> x <= 1 -> lo <= hi -> 0 < M -> M < 1 ->
  exists (m : mdp F optionF boolF) (w : family F boolF) (pi : boolF -> optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      train_mass w = M,
      forall f, policy (pi f) &
      forall V d, (forall f, is_value m (pi f) (V f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
        mean_robustness m w pi d = (1 - gamma) * x /\
        gap w (fun f => return_of m (V f)) =
          (1 - M) * mean_robustness m w pi d * (hi - lo) / (1 - gamma) ^+ 2].
Proof.
move=> g0 g1 x0 x1 lohi M0 M1; pose y (f : boolF) : F := if f then 0 else x.
have h0 : 1 - gamma != 0 by rewrite subr_eq0 gt_eqF.
exists (fork g0 g1 lohi), (two M0 (ltW M1)), (fun f s => coin (swerve (y f) 0 s)); split=> //.
- exact: two_train_mass.
- by case; apply: swerve_policy; rewrite ?ler01.
move=> V d PV Pd.
have Rbar : mean_robustness (fork g0 g1 lohi) (two M0 (ltW M1))
    (fun f s => coin (swerve (y f) 0 s)) d = (1 - gamma) * x.
  by rewrite /mean_robustness two_pair_mean // (fork_visited_tv x0 _ (Pd true)) // mulr0 addr0.
split=> //; rewrite Rbar two_gap (fork_return (PV true)) (fork_return (PV false)) -mulrBl.
rewrite (_ : _ - _ = x * (hi - lo)) => [|/=]; last by ring.
rewrite ger0_norm ?divr_ge0 ?mulr_ge0 ?subr_ge0 ?(ltW g1) //; by field.
Qed.

(** ** A2 with R-bar for R *)

Lemma sharp_of_mean_lt (F : realFieldType) (gamma lo hi x : F) :
  0 < gamma -> gamma < 1 -> 0 < x -> lo < hi ->
  sharp gamma (hi - lo) ((1 - gamma) * x) < x * (hi - lo) / (1 - gamma).
Proof.
move=> g0 g1 x0 lohi; have h0 : 0 < 1 - gamma by rewrite subr_gt0.
have n0 : 0 < 1 + gamma * x by rewrite ltr_paddr ?ltr01 ?mulr_ge0 ?ltW.
have -> : sharp gamma (hi - lo) ((1 - gamma) * x) =
    x * (hi - lo) / (1 - gamma) / (1 + gamma * x).
  by rewrite /sharp; field; rewrite !lt0r_neq0 // sharp_denominator_gt0 ?mulr_ge0 ?ltW.
rewrite ltr_pdivr_mulr // ltr_pmulr ?divr_gt0 ?mulr_gt0 ?subr_gt0 //.
by rewrite ltr_addl mulr_gt0.
Qed.

(** Two policies whose returns differ by more than A2 says at R-bar. *)
Theorem mean_in_sharp_is_false (F : realFieldType) (gamma lo hi x : F) :
  0 < gamma -> gamma < 1 -> 0 < x -> x <= 1 -> lo < hi ->
  exists (m : mdp F optionF boolF) (pi pi' : optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      policy pi /\ policy pi' &
      forall V V' d, is_value m pi V -> is_value m pi' V' -> is_occupancy m pi d ->
        let Rbar := (1 - gamma) * visited_tv d pi pi' in
        sharp gamma (hi - lo) Rbar < `|return_of m V - return_of m V'|].
Proof.
move=> g0 g1 x0 x1 lohi; have [m [pi [pi' [params _ policies J]]]] :=
  on_policy_attained (ltW g0) g1 (ltW x0) x1 (ltW lohi).
exists m, pi, pi'; split=> // V V' d PV PV' Pd; case: (J V V' d PV PV' Pd) => -> ->.
exact: lt_le_trans (sharp_of_mean_lt g0 g1 x0 lohi) (ler_norm _).
Qed.

(** The same for the gap of a family of renderings. *)
Theorem mean_in_sharp_gap_is_false (F : realFieldType) (gamma lo hi x M : F) :
  0 < gamma -> gamma < 1 -> 0 < x -> x <= 1 -> lo < hi -> 0 < M -> M < 1 ->
  exists (m : mdp F optionF boolF) (w : family F boolF) (pi : boolF -> optionF -> boolF -> F),
  [/\ [/\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      train_mass w = M,
      forall f, policy (pi f) &
      forall V d, (forall f, is_value m (pi f) (V f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
        (1 - M) * sharp gamma (hi - lo) (mean_robustness m w pi d) <
          gap w (fun f => return_of m (V f))].
Proof.
move=> g0 g1 x0 x1 lohi M0 M1; have [m [w [pi [params wM policies gapE]]]] :=
  on_policy_attained_gap (ltW g0) g1 (ltW x0) x1 (ltW lohi) M0 M1.
exists m, w, pi; split=> // V d PV Pd; case: (gapE V d PV Pd) => Rbar ->; rewrite Rbar.
rewrite (_ : _ / (1 - gamma) ^+ 2 = (1 - M) * (x * (hi - lo) / (1 - gamma))).
  by rewrite ltr_pmul2l ?subr_gt0 ?sharp_of_mean_lt.
by field; rewrite subr_eq0 gt_eqF.
Qed.
