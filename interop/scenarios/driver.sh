# The tests of the SCTP driver, which say nothing where there is no SCTP
host pr 10.0.0.1
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
lookup 1 'no such pool' -r 10.0.0.1 nowhere
ip netns exec pu driver-tests --test-threads=1 > /out/tests.log 2>&1 || fail "$(tail -n 40 /out/tests.log)"
never tests 'no SCTP here'
log "$(grep '^test result' /out/tests.log)"
