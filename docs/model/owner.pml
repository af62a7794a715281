/*
 * owner: one owner's holds on one lock, when replies are lost and commands run late.
 *
 * Scripts:  acquire.lua, reduce.lua, release.lua, renew.lua.
 * Client:   tenure.go: attempt, acquire, release, reduce, vacate, undo, undoLater, retire.
 *
 * Time passes in ticks, and any number of them may pass between two steps: a slow
 * network and a frozen process are in every run. A fault is a broken connection: the
 * caller does not learn the outcome, and the command, if the server has not run it
 * yet, may run at any later time or never.
 */
#ifndef FAULTS
#define FAULTS 1
#endif

#define LONG  2 /* a lease that is renewed */
#define SHORT 1 /* a fixed one */
#define NAMES (1 + FAULTS) /* names that the owner may use on the wire, one after the other */
#define RIVAL 9
#define COPIES (2 + 2 * FAULTS) /* a script, a renewal, and what broken connections leave */

#define LEAST(a, b) (((a) < (b)) -> (a) : (b))
#define MOST(a, b)  (((a) > (b)) -> (a) : (b))

#ifdef NO_TURN
#define MAY_LEAVE && net[2].kind == NONE && net[3].kind == NONE
#else
#define MAY_LEAVE
#endif

/* Commands. */
#define NONE 0
mtype = { ACQUIRE, REDUCE, RELEASE, RENEW };

/* Statuses, as the scripts return them. */
#define TAKEN 0
#define DONE  1
#define GONE  2

/* The server: whose the lock is, how many holds it counts, and its time to live. */
byte owner, count, ttl;

/* The network: commands that the server has not run. */
typedef command { byte kind; byte name; byte holds; byte lease };
command net[COPIES]; /* 0: the script that is awaited; 1: the renewal; the others: strays */

#ifdef NO_TURN
byte faults = 0; /* it takes none */
#else
byte faults = FAULTS;
#endif
byte room = 1; /* marks what is asserted of the model itself */

/* The client. Holds are numbered from 0, outermost first. */
byte name = 1;     /* on the wire */
bit  retired;      /* the name must not be used for a first hold again */
byte holds;        /* that stand */
byte trust[2];     /* how long each is trusted still */
byte lease[2];     /* that each asked for */
byte low, high;    /* bounds of what the server may count */
bit  blurred;
byte floor = LONG; /* the least lease that a late command may leave */
bit  broken;       /* the lock was not ours at some moment since the first hold */

byte op;           /* the script that is under way, with what it states */
byte op_holds, op_lease, op_age;
bit  op_open;      /* a copy of it stayed unanswered */
bit  left;         /* its caller has left */
bit  answered;     /* its reply is under way */
byte status, found;

byte renewing;     /* 0: no renewal; 1: sent; 2: answered */
byte renew_age;
bit  kept;

byte i;

inline send(c, k, n, h, l) {
	assert(room && net[c].kind == NONE);
	printf("client: sends %e of name %d, holds %d, lease %d\n", k, n, h, l);
	net[c].kind = k; net[c].name = n; net[c].holds = h; net[c].lease = l
}

inline forget(c) {
	net[c].kind = NONE; net[c].name = 0; net[c].holds = 0; net[c].lease = 0
}

/* A command that nobody awaits any more: it may run at any time, or never. */
inline find_slot() {
	i = 2;
	do
	:: i < COPIES && net[i].kind != NONE -> i++
	:: else -> break
	od;
	assert(room && i < COPIES)
}

inline stray(k, n, h, l) {
	find_slot();
	send(i, k, n, h, l);
	i = 0
}

inline abandon() {
	if
	:: net[0].kind != NONE ->
		find_slot();
		net[i].kind = net[0].kind; net[i].name = net[0].name;
		net[i].holds = net[0].holds; net[i].lease = net[0].lease;
		forget(0);
		i = 0
	:: else
	fi
}

inline ask(k, h, l) {
	op = k; op_holds = h; op_lease = l; op_age = 0;
	send(0, k, name, h, l)
}

/* Nothing is left that the next hold would have to know, but what may still run late. */
inline forget_tenure() {
	floor = LONG; broken = 0;
	if
	:: !blurred -> low = 0; high = 0
	:: else
	fi
}

inline done() {
	op = NONE; op_holds = 0; op_lease = 0; op_age = 0; op_open = 0; left = 0;
	answered = 0; status = 0; found = 0;
	if
	:: holds == 0 -> forget_tenure()
	:: else
	fi
}

/* The hold at number h has ended. */
inline lapse(h) {
	if
	:: h == 0 -> trust[0] = trust[1]; lease[0] = lease[1]
	:: else
	fi;
	trust[1] = 0; lease[1] = 0;
	holds--;
	if
	:: holds == 0 && op == NONE -> forget_tenure()
	:: else
	fi
}

inline lapse_all() {
	do
	:: holds > 0 -> lapse(0)
	:: else -> break
	od
}

inline blur(n) {
	blurred = 1; low = LEAST(low, n); high = MOST(high, n)
}

inline counted(n) {
	if
	:: blurred -> low = LEAST(low, n); high = MOST(high, n)
	:: else -> low = n; high = n
	fi
}

/* A lock that is not ours at some moment since the first hold was lost indeed. */
inline freed() {
	owner = 0; count = 0; ttl = 0;
	if
	:: holds > 0 -> broken = 1
	:: else
	fi
}

inline retire() {
#ifdef NO_RENAME
	retired = 0
#else
	retired = 1
#endif
}

/* The scripts. Each leaves status and found for whoever awaits them. */
inline run_acquire(c) {
	if
	:: ttl == 0 && (net[c].holds == 1
#ifdef NO_REENTRY_GUARD
	    || true
#endif
	   ) ->
		/* Only a first acquire may come too late and make a lock that nobody wants. */
		assert(net[c].holds == 1 || c == 0);
		owner = net[c].name; count = net[c].holds; ttl = net[c].lease; s = DONE; f = 0
	:: else ->
		if
		:: owner == net[c].name ->
			s = DONE; f = count;
#ifdef NO_ABSOLUTE_COUNT
			count++;
#else
			count = net[c].holds;
#endif
			ttl = MOST(ttl, net[c].lease)
		:: owner != net[c].name && net[c].holds == 1 -> s = TAKEN; f = 0
		:: else -> s = GONE; f = 0
		fi
	fi
}

inline run_reduce(c) {
	if
	:: owner != net[c].name -> s = TAKEN; f = 0
	:: else ->
		s = DONE; f = count; ttl = net[c].lease;
#ifdef NO_ABSOLUTE_COUNT
		count--;
		if
		:: count == 0 -> freed()
		:: else
		fi
#else
		count = net[c].holds
#endif
	fi
}

inline run_release(c) {
	if
	:: owner != net[c].name -> s = TAKEN; f = 0
	:: else ->
		s = DONE; f = count;
#ifdef NO_ABSOLUTE_COUNT
		count--;
		if
		:: count == 0 -> freed()
		:: else
		fi
#else
		freed()
#endif
	fi
}

inline serve(c) {
		if
		:: net[c].kind == ACQUIRE -> run_acquire(c)
		:: net[c].kind == REDUCE  -> run_reduce(c)
		:: net[c].kind == RELEASE -> run_release(c)
		:: net[c].kind == RENEW   ->
			f = 0;
			if
			:: owner == net[c].name -> ttl = MOST(ttl, net[c].lease); s = DONE
			:: else -> s = TAKEN
			fi
		fi;
		if
		:: c == 1 ->
			renewing = 2; kept = (s == DONE)
		:: c == 0 ->
			answered = 1; status = s; found = f
		:: else
		fi;
		printf("server: runs %e of name %d, holds %d: status %d found %d; now owner %d count %d ttl %d\n",
			net[c].kind, net[c].name, net[c].holds, s, f, owner, count, ttl);
		forget(c); s = 0; f = 0
}

/* A hold of a lease that was asked for op_age ago. */
inline grant(n, l) {
	counted(n);
	lease[holds] = l;
#ifdef NO_FLOOR
#define TRUSTED(l) (l)
#else
#define TRUSTED(l) LEAST(l, floor)
#endif
#ifdef NO_TRUST_FROM_SENT
	trust[holds] = TRUSTED(l);
#else
	trust[holds] = MOST(TRUSTED(l), op_age) - op_age;
#endif
	printf("client: holds, trust %d\n", trust[holds]);
	holds++
}

#define may_lock op == NONE && holds < 2 && !(retired && holds == 0 && name == NAMES)

inline lock(l) {
	if
	:: retired && holds == 0 -> name++; retired = 0; low = 0; high = 0; blurred = 0; floor = LONG
	:: else
	fi;
	ask(ACQUIRE, holds + 1, l)
}

inline acquired() {
	if
	:: status == TAKEN -> done()
	:: status == DONE && (op_holds == 1 || found == op_holds || low <= found && found <= high) ->
		grant(op_holds, op_lease);
		if
		:: left || trust[holds - 1] == 0 -> /* nobody will have it: undo */
			lapse(holds - 1);
			g = holds;
			done();
			if
			:: g == 0 -> ask(RELEASE, 0, 0)
			:: else -> ask(REDUCE, g, LONG)
			fi
		:: else -> done()
		fi
	:: else ->
		/* The earlier holds are gone. Nobody must be told so who still has the lock. */
		assert(status == GONE || broken);
		lapse_all();
		g = op_lease;
		done();
		if
		:: retired && name == NAMES
		:: else -> lock(g)
		fi
	fi;
	g = 0
}

inline unlock(h) {
	lapse(h);
	if
	:: holds == 0 -> ask(RELEASE, 0, 0)
	:: else ->
		/* Fixed leases end by themselves: what remains of one is stated. */
		l = (lease[0] == LONG -> LONG : MOST(trust[0], 1));
		ask(REDUCE, holds, l); l = 0
	fi
}

inline retire_reduced() {
#ifdef NO_REDUCE_RENAME
	skip
#else
	retire()
#endif
}

/* What the connection carried is lost, or late. */
inline lose_reply() {
	faults--;
	printf("the connection breaks\n");
	answered = 0; status = 0; found = 0;
	abandon();
	op_open = 1;
	if
	:: op == REDUCE -> blur(op_holds); floor = LEAST(floor, op_lease); retire_reduced()
	:: op == RELEASE -> retire()
	:: op == ACQUIRE -> first_or_not()
	:: else
	fi
}

inline first_or_not() {
#ifdef NO_BLUR
	if
	:: op_holds > 1 -> blur(op_holds)
	:: else
	fi
#else
	blur(op_holds)
#endif
}

inline check() {
	assert(!(holds > 0 && trust[0] > 0 && owner == RIVAL));
	assert(!(holds > 1 && trust[1] > 0 && owner == RIVAL));
}

active proctype world()
{
	byte s, f, g, n, l;
end:	do
	/* The owner takes the lock once, or once more. */
	:: d_step { may_lock -> lock(LONG) }
	:: d_step { may_lock -> lock(SHORT) }
	/* The caller's context ends. */
	:: d_step { op == ACQUIRE && !left && !answered MAY_LEAVE ->
#ifdef NO_TURN
		/* The undo is sent at once, and nobody waits for it. */
		abandon();
		done();
		if
		:: holds == 0 -> stray(RELEASE, name, 0, 0)
		:: else -> stray(REDUCE, name, holds, LONG)
		fi
#else
		left = 1
#endif
		}
	/* The owner gives a hold back, while no renewal is under way. */
	:: d_step { op == NONE && holds > 0 && renewing == 0 -> unlock(0) }
	:: d_step { op == NONE && holds > 1 && renewing == 0 -> unlock(1) }
	/* The watchdog. */
	:: d_step { renewing == 0 && op != REDUCE && op != RELEASE && holds > 0 &&
		(lease[0] == LONG || holds == 2 && lease[1] == LONG) ->
		renewing = 1; renew_age = 0; send(1, RENEW, name, 0, LONG) }
	:: d_step { renewing == 2 ->
		if
		:: kept && holds > 0 && owner != 0 ->
			n = MOST(TRUSTED(LONG), renew_age) - renew_age;
			if
			:: lease[0] == LONG -> trust[0] = MOST(trust[0], n)
			:: else
			fi;
			if
			:: holds == 2 && lease[1] == LONG -> trust[1] = MOST(trust[1], n)
			:: else
			fi;
			n = 0
		:: !kept -> lapse_all()
		:: else
		fi;
		renewing = 0; renew_age = 0; kept = 0; check() }
	/* A hold's time is over. */
	:: d_step { holds > 0 && trust[0] == 0 -> lapse(0) }
	:: d_step { holds > 1 && trust[1] == 0 -> lapse(1) }

	/* The server runs any of the commands: connections keep no order. */
	:: d_step { net[0].kind != NONE -> serve(0); check() }
	:: d_step { net[1].kind != NONE -> serve(1); check() }
	:: d_step { net[2].kind != NONE -> serve(2); check() }
	:: d_step { net[3].kind != NONE -> serve(3); check() }
#if FAULTS > 1
	:: d_step { net[4].kind != NONE -> serve(4); check() }
	:: d_step { net[5].kind != NONE -> serve(5); check() }
#endif

	/* A reply. */
	:: d_step { answered && op == ACQUIRE -> acquired(); check() }
	:: d_step { answered && op == REDUCE ->
		if
		:: status == DONE ->
			if
			:: holds > 0 -> counted(holds)
			:: else
			fi
		:: else -> lapse_all()
		fi;
		done(); check() }
	:: d_step { answered && op == RELEASE -> done(); check() }

	/* Fault: the connection breaks. The script is sent again, or given up. */
	:: d_step { op != NONE && faults > 0 ->
		lose_reply();
		op_age = 0; send(0, op, name, op_holds, op_lease);
		check() }
	:: d_step { op != NONE && faults > 0 ->
		lose_reply();
		if
		:: op == ACQUIRE && op_holds == 1 -> retire(); stray(RELEASE, name, 0, 0)
		:: else
		fi;
		done(); check() }

	/* Others. */
	:: d_step { ttl == 0 -> owner = RIVAL; count = 1; ttl = 1; printf("the rival takes the lock\n"); check() }
	:: d_step { owner == RIVAL -> owner = 0; count = 0; ttl = 0 }

	/* Time. The rival keeps its lease alive. */
	:: d_step { (owner != RIVAL && ttl > 0) || trust[0] > 0 || trust[1] > 0 ||
		(op != NONE && op_age < LONG) || (renewing != 0 && renew_age < LONG) ->
		printf("-- time passes\n");
		trust[0] = trust[0] - (trust[0] > 0);
		trust[1] = trust[1] - (trust[1] > 0);
		op_age = op_age + (op != NONE && op_age < LONG);
		renew_age = renew_age + (renewing != 0 && renew_age < LONG);
		if
		:: owner != RIVAL && ttl == 1 -> freed()
		:: owner != RIVAL && ttl > 1 -> ttl--
		:: else
		fi }
	od
}
