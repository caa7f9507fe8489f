(** What the examples are made of: deterministic moves, two actions, two renderings. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Robustness.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Notation boolF := [finType of bool].
Notation unitF := [finType of unit].

Section Points.

Variables (F : realFieldType) (S : finType).

(** All mass on one state. *)
Definition point (t s : S) : F := (s == t)%:R.

Lemma point_dist t : dist (point t).
Proof.
split=> [s|]; first exact: ler0n.
by rewrite (bigD1 t) //= /point eqxx big1 ?addr0 // => s /negPf ->.
Qed.

Lemma expect_point t (x : S -> F) : expect (point t) x = x t.
Proof.
rewrite /expect (bigD1 t) //= /point eqxx mul1r big1 ?addr0 // => s /negPf ->.
by rewrite mul0r.
Qed.

End Points.

Section Coins.

Variable F : realFieldType.
Implicit Types x y : F.

(** Action [false] with probability [x]. *)
Definition coin x (a : bool) : F := if a then 1 - x else x.

Lemma coin_dist x : 0 <= x -> x <= 1 -> dist (coin x : boolF -> F).
Proof. by move=> x0 x1; split=> [[]|] /=; rewrite ?subr_ge0 // big_bool /= subrK. Qed.

Lemma expect_coin x (y : bool -> F) :
  expect (coin x : boolF -> F) y = (1 - x) * y true + x * y false.
Proof. by rewrite /expect big_bool. Qed.

Lemma tv_coin x y : tv (coin x : boolF -> F) (coin y) = `|x - y|.
Proof.
rewrite /tv big_bool /= (_ : 1 - x - (1 - y) = - (x - y)); last by ring.
by rewrite normrN -mulr2n -[X in X / _]mulr_natr mulfK ?pnatr_eq0.
Qed.

End Coins.

(** Two actions, each with one outcome; where [pays s a], the reward is [hi], otherwise [lo]. *)
Section World.

Variables (F : realFieldType) (S : finType) (start : S).
Variables (next : S -> bool -> S) (pays : S -> bool -> bool) (gamma lo hi : F).
Hypotheses (gamma0 : 0 <= gamma) (gamma1 : gamma < 1) (lohi : lo <= hi).

Lemma world_reward_bounds s a : lo <= (if pays s a then hi else lo) <= hi.
Proof. by case: ifP; rewrite lohi lexx. Qed.

Definition world : mdp F S boolF :=
  Mdp (fun s a => point_dist F (next s a)) (point_dist F start) gamma0 gamma1
    world_reward_bounds.

Lemma world_action_value V s a :
  action_value world V s a = (if pays s a then hi else lo) + gamma * V (next s a).
Proof. by rewrite /action_value expect_point. Qed.

Lemma world_value (x : S -> F) V :
  is_value world (fun s => coin (x s)) V -> forall s,
  V s = (1 - x s) * ((if pays s true then hi else lo) + gamma * V (next s true)) +
        x s * ((if pays s false then hi else lo) + gamma * V (next s false)).
Proof. by move=> + s => /(_ s); rewrite expect_coin !world_action_value. Qed.

Lemma world_return V : return_of world V = V start.
Proof. exact: expect_point. Qed.

End World.

(** Two renderings: [true], of mass [M], is the training one. *)
Section TwoRenderings.

Variables (F : realFieldType) (M : F).
Hypotheses (M0 : 0 < M) (M1 : M <= 1).

Let weights (f : bool) : F := if f then M else 1 - M.

Lemma two_weights_dist : dist (weights : boolF -> F).
Proof.
by split=> [[]|] /=; rewrite ?subr_ge0 ?(ltW M0) // big_bool /= addrC subrK.
Qed.

Lemma two_train_mass_gt0 : 0 < \sum_(f : boolF | f) weights f.
Proof. by rewrite big_mkcond big_bool /= addr0. Qed.

Definition two : family F boolF := Family two_weights_dist two_train_mass_gt0.

Lemma two_train_mass : train_mass two = M.
Proof. by rewrite /train_mass big_mkcond big_bool /= addr0. Qed.

Lemma two_train_mean J : train_mean two J = J true.
Proof.
by rewrite /train_mean two_train_mass big_mkcond big_bool /= addr0 mulrC mulKf ?lt0r_neq0.
Qed.

Lemma two_general_mean J : general_mean two J = M * J true + (1 - M) * J false.
Proof. by rewrite /general_mean /expect big_bool. Qed.

Lemma two_gap J : gap two J = (1 - M) * `|J true - J false|.
Proof.
have h : 0 <= 1 - M by rewrite subr_ge0.
rewrite /gap two_train_mean two_general_mean distrC -[in RHS](ger0_norm h).
by rewrite -normrM; congr `|_|; ring.
Qed.

Lemma two_pair_mean x : M < 1 -> pair_mean two x = x true false.
Proof.
move=> lt1; rewrite /pair_mean two_train_mass big_mkcond big_bool /= addr0.
rewrite big_mkcond big_bool /= add0r mulrC mulKf //.
by rewrite mulf_neq0 ?subr_eq0 ?gt_eqF.
Qed.

(** Where both renderings differ by R in every state, that is the robustness. *)
Lemma two_robustness (S A : finType) (pi : bool -> S -> A -> F) (s0 : S) R :
  (forall s, tv (pi true s) (pi false s) = R) -> robustness two pi = R.
Proof.
move=> piR; have R0 : 0 <= R by rewrite -(piR s0) tv_ge0.
apply/eqP; rewrite eq_le robustness_le // => [|[] [] s //= _ _]; last by rewrite piR.
by rewrite -(piR s0) (tv_le_robustness (w := two)).
Qed.

End TwoRenderings.
