# relay_layer(NAME DEPENDS...): the static library relay_NAME from src/NAME/*.c. A folder without
# sources is skipped, and so is a dependency on a layer that is not there.
function(relay_layer name)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
    if(NOT sources)
        return()
    endif()
    add_library(relay_${name} STATIC ${sources})
    target_include_directories(relay_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    # These archives end in programs only: -fPIE spares what -fPIC costs.
    set_target_properties(relay_${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(relay_${name} PRIVATE -fPIE)
    relay_present(depends ${ARGN})
    target_link_libraries(relay_${name} PUBLIC ${depends})
endfunction()

# relay_present(VARIABLE ITEMS...): the items, without those layers that have no target.
function(relay_present variable)
    set(result "")
    foreach(item IN LISTS ARGN)
        if(TARGET ${item} OR NOT item MATCHES "^relay_")
            list(APPEND result ${item})
        endif()
    endforeach()
    set(${variable} ${result} PARENT_SCOPE)
endfunction()

# relay_program(TARGET): what is installed, as a position-independent executable.
function(relay_program target)
    install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    if(RELAY_BIN_DIR)
        set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${RELAY_BIN_DIR})
    endif()
endfunction()
